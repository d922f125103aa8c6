"""Classify every PNG of a folder with the model in it; run by a Python that has mediapipe only.

Prints one object of scores by label for each picture, in the order of their names.
"""

import json
import pathlib
import sys

import mediapipe as mp


def main(folder: pathlib.Path) -> None:
    options = mp.tasks.vision.ImageClassifierOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=str(folder / "model.tflite"))
    )
    results = []
    with mp.tasks.vision.ImageClassifier.create_from_options(options) as classifier:
        for path in sorted(folder.glob("*.png")):
            found = classifier.classify(mp.Image.create_from_file(str(path)))
            categories = found.classifications[0].categories
            results.append({one.category_name: one.score for one in categories})
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
