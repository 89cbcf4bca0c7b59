"""The gateway's OpenAPI document in git is the one that the app gives."""

import json

from producers.gateway import openapi


def test_the_document_in_git_is_the_app_s() -> None:
    assert openapi.FILE.read_text() == openapi.text(), "write it anew: python -m producers.gateway.openapi"


def test_every_reference_in_it_leads_somewhere() -> None:
    document = json.loads(openapi.FILE.read_text())
    text = json.dumps(document)
    for part in text.split('"$ref": "')[1:]:
        name = part.partition('"')[0].removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"]
