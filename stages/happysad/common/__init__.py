"""What every stage uses: params, files, errors, the decoder, work on all cores."""
