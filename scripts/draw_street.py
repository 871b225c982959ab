"""Draw a video of a street at night, as a surveillance camera has it: ten seconds, 10 frames a second, dark, noisy, 160 x 120.

python scripts/draw_street.py clean.avi dark.avi street.png    # the scene in good light, as the camera has it, and one frame of it
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

RATE, SECONDS, WIDTH, HEIGHT = 10, 10, 320, 240
"""Frames a second, length, and the size at which the scene is drawn; the video has half of that."""

LIGHT, NOISE = 0.45, 12.0
"""What is left of the light, and the standard deviation of the noise in grey levels."""


STILL = 48
"""The frame that is also written as a picture."""


def scene(time: float) -> NDArray[np.uint8]:
    """The street after so many seconds, (H / 2, W / 2, 3) BGR: houses, a lamp, a car that crosses, a person who walks."""
    frame = np.full((HEIGHT, WIDTH, 3), (150, 120, 95), np.uint8)
    for index, colour in enumerate([(90, 110, 160), (120, 140, 150), (100, 95, 130), (130, 120, 105)]):
        left = 80 * index
        cv2.rectangle(frame, (left, 30 + 12 * (index % 3)), (left + 79, 160), colour, -1)
        for row in range(3):
            for column in range(3):
                x, y = left + 10 + 24 * column, 60 + 32 * row
                cv2.rectangle(frame, (x, y), (x + 13, y + 19), (200, 220, 235) if (row + column + index) % 3 else (60, 55, 50), -1)
    cv2.rectangle(frame, (0, 160), (WIDTH, 185), (140, 145, 150), -1)
    cv2.rectangle(frame, (0, 185), (WIDTH, HEIGHT), (85, 85, 85), -1)
    for left in range(0, WIDTH, 48):
        cv2.rectangle(frame, (left, 212), (left + 23, 215), (215, 225, 225), -1)
    cv2.line(frame, (200, 172), (200, 70), (50, 50, 50), 3)
    cv2.circle(frame, (200, 66), 8, (210, 245, 255), -1)
    car = round(-90 + time * (WIDTH + 110) / SECONDS)
    cv2.rectangle(frame, (car, 192), (car + 84, 214), (60, 60, 190), -1)
    cv2.fillPoly(frame, [np.array([(car + 14, 192), (car + 26, 176), (car + 60, 176), (car + 72, 192)])], (75, 75, 205))
    for wheel in (car + 18, car + 66):
        cv2.circle(frame, (wheel, 215), 9, (35, 35, 35), -1)
    person, step = round(290 - 20 * time), round(4 * np.sin(6 * time))
    cv2.line(frame, (person, 166), (person - step, 182), (110, 70, 40), 3)
    cv2.line(frame, (person, 166), (person + step, 182), (110, 70, 40), 3)
    cv2.rectangle(frame, (person - 4, 146), (person + 4, 168), (70, 160, 80), -1)
    cv2.circle(frame, (person, 140), 5, (150, 180, 220), -1)
    return cv2.resize(frame, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)


def main(clean: Path, dark: Path, still: Path) -> None:
    """Write both videos, without loss, and frame `STILL` of the first."""
    random = np.random.default_rng(0)
    writers = [cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"FFV1"), RATE, (WIDTH // 2, HEIGHT // 2)) for path in (clean, dark)]
    for number in range(RATE * SECONDS):
        frame = scene(number / RATE)
        noise = random.normal(0, NOISE, frame.shape)
        if number == STILL:
            cv2.imwrite(str(still), frame)
        writers[0].write(frame)
        writers[1].write(np.clip(LIGHT * frame + noise, 0, 255).astype(np.uint8))
    for writer in writers:
        writer.release()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
