"""The API of the tests, for all of them."""

from tests.unit.api.scene import scene as scene
