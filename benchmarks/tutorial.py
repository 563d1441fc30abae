"""The loop of the well-known tutorials, for benchmarks/train.py: python benchmarks/tutorial.py DIR SIZE BATCH_SIZE

image_dataset_from_directory on the raw folder, x / 255, Keras' fit, all with their defaults. Each line on
standard input asks for one epoch more; the answer is its seconds of CPU and by the clock.
"""

import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
from keras import layers

folder, size, batch_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
data = keras.utils.image_dataset_from_directory(
    folder, image_size=(size, size), batch_size=batch_size, verbose=False
)
batches = len(data)
data = data.map(lambda x, y: (x / 255, y))
train = data.take(int(batches * 0.7))
validation = data.skip(int(batches * 0.7)).take(int(batches * 0.2))

model = keras.Sequential([keras.Input((size, size, 3))])
for filters in (16, 32, 16):
    model.add(layers.Conv2D(filters, 3, activation="relu"))
    model.add(layers.MaxPooling2D())
model.add(layers.Flatten())
model.add(layers.Dense(256, activation="relu"))
model.add(layers.Dense(1, activation="sigmoid"))
model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])

for _ in sys.stdin:
    cpu, clock = time.process_time(), time.perf_counter()
    model.fit(train, validation_data=validation, epochs=1, verbose=0)
    print(time.process_time() - cpu, time.perf_counter() - clock, flush=True)
