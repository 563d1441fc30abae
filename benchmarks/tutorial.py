"""The loop of the well-known tutorials, for benchmarks/train.py: python benchmarks/tutorial.py DIR SIZE BATCH FILTERS...

image_dataset_from_directory on the raw folder, x / 255, Keras' fit, all with their defaults. Each line on standard
input asks for one epoch more; the answer is its milliseconds of CPU and by the clock, per picture.
"""

import sys
import time

import keras
from keras import layers

folder, size, batch_size, *filters = sys.argv[1], *map(int, sys.argv[2:])
data = keras.utils.image_dataset_from_directory(
    folder, image_size=(size, size), batch_size=batch_size, verbose=False
)
data = data.map(lambda x, y: (x / 255, y))
train = data.take(int(len(data) * 0.7))

model = keras.Sequential([keras.Input((size, size, 3))])
for count in filters:
    model.add(layers.Conv2D(count, 3, padding="same", activation="relu"))
    model.add(layers.MaxPooling2D())
model.add(layers.Flatten())
model.add(layers.Dense(256, activation="relu"))
model.add(layers.Dropout(0.4))
model.add(layers.Dense(1, activation="sigmoid"))
model.compile("adam", loss="binary_crossentropy", metrics=["accuracy"])

for _ in sys.stdin:
    cpu, clock = time.process_time(), time.perf_counter()
    model.fit(train, epochs=1, verbose=0)
    n = len(train) * batch_size
    print(1000 * (time.process_time() - cpu) / n, 1000 * (time.perf_counter() - clock) / n, flush=True)
