"""What to do about a rejected object, in one line for each reason: the same as docs/troubleshooting.md says."""

from __future__ import annotations

REMEDIES = {
    "BAD_KEY": "Rename it",
    "NOT_FOUND": "Run the partition again when its writers have finished",
    "CHANGED_DURING_RUN": "Run the partition again when its writers have finished",
    "NOT_READABLE": "Give the service's user the right to read it, let the store repair it, or exclude it",
    "ARCHIVED": "Restore it and run the partition again, or exclude it",
    "NOT_A_FILE": "Remove it, or exclude it",
    "LINK_OUTSIDE": "Move the photos into the folder",
    "LINK_BROKEN": "Remove it",
    "LINK_TO_FOLDER": "Nothing, or remove the link",
    "EMPTY_OBJECT": "Upload it again",
    "TOO_LARGE": "Raise the limit, or exclude it",
    "UNSUPPORTED_URL": "Correct the list",
    "BLOCKED_ADDRESS": "For hosts of your own set IMAGEFEATURES_HTTP_ALLOW",
    "TOO_MANY_REDIRECTS": "Write the last URL",
    "OPTED_OUT": "Nothing, or ask the host",
    "HTTP_REFUSED": "Correct the URL, or leave it out",
    "RATE_LIMITED": "Run the partition again later, with fewer requests_per_second",
    "FETCH_TIMEOUT": "Raise the deadline, or run the partition again later",
    "FETCH_FAILED": "Run the partition again later; for a certificate, see detail",
    "UNSUPPORTED_FORMAT": "Convert it, or exclude it",
    "TOO_MANY_PIXELS": "Raise the limit if the workers have the memory; put a crop or longest_edge before",
    "TOO_SMALL": "Move the crop, or exclude it",
    "METADATA_TOO_LARGE": "Raise the limit that detail names, or strip the metadata",
    "TRUNCATED": "Upload it again",
    "CORRUPT": "Upload it again",
    "UNSUPPORTED_MODE": "Convert it to 8-bit RGB or greyscale; of bands, declare those that are there",
    "DUPLICATE": "Nothing",
    "FORGOTTEN": "Nothing",
    "DECODER_CRASHED": "Handle it with care: the file may be made to do harm",
    "TIMEOUT": "Raise the limit if such images are wanted",
    "OUT_OF_MEMORY": "Lower limits.max_pixels",
    "NOT_FINITE": (
        "Of stored values: write a number where there is none. Of a vector: see whether scale fits; of an "
        "8-bit image report it"
    ),
}
"""Reason code: what to do. The keys are texts: tests look for the places where a code is raised."""
