import pytest

from fleetgate.wire.restjson.routes import NoSuchOperation, Routes


@pytest.fixture
def routes() -> Routes:
    routes = Routes()
    for method, template, operation in [
        ("GET", "/things/{name}/{part}", "Part"),
        ("GET", "/things/{name}", "Describe"),
        ("GET", "/things", "List"),
        ("POST", "/things/{name}", "Create"),
        ("GET", "/things/{name}/shadow", "Shadow"),
        ("GET", "/things/all/{part}", "AllPart"),
        ("GET", "/authorizers/", "Authorizers"),
        ("GET", "/files/{path+}", "File"),
        ("GET", "/files/by/{owner}/{path+}", "OwnedFile"),
        ("GET", "/files/index", "Index"),
        ("GET", "/", "Root"),
    ]:
        routes.add(method, template, operation)
    return routes


@pytest.mark.parametrize(
    ("path", "operation", "labels"),
    [
        ("/things", "List", {}),
        ("/things/a", "Describe", {"name": "a"}),
        ("/things/a%2Fb", "Describe", {"name": "a%2Fb"}),
        ("/things/a%3Ab/shadow", "Shadow", {"name": "a%3Ab"}),
        ("/things/all/shadow", "AllPart", {"part": "shadow"}),  # the leftmost literal counts most
        ("/things/b/c", "Part", {"name": "b", "part": "c"}),
        ("/authorizers/", "Authorizers", {}),
        ("/authorizers", "Authorizers", {}),
        ("/files/index", "Index", {}),
        ("/files/a", "File", {"path": "a"}),
        ("/files/a/b%2Fc//d", "File", {"path": "a/b%2Fc//d"}),
        ("/files/by/me", "File", {"path": "by/me"}),
        ("/files/by/me/a/b", "OwnedFile", {"owner": "me", "path": "a/b"}),
        ("/", "Root", {}),
    ],
)
def test_match(routes: Routes, path: str, operation: str, labels: dict[str, str]) -> None:
    assert routes.match("GET", path) == (operation, labels)


def test_the_method_decides(routes: Routes) -> None:
    assert routes.match("POST", "/things/a")[0] == "Create"


@pytest.mark.parametrize(
    "path", ["", "*", "things", "/things/", "/things//shadow", "/thing%73", "/files", "/files/", "//", "/things/a/b/c"]
)
def test_nothing_matches(routes: Routes, path: str) -> None:
    with pytest.raises(NoSuchOperation) as caught:
        routes.match("GET", path)
    assert caught.value.allowed == ()


def test_other_methods_are_named(routes: Routes) -> None:
    with pytest.raises(NoSuchOperation, match="this path answers to GET, POST") as caught:
        routes.match("DELETE", "/things/a")
    assert caught.value.allowed == ("GET", "POST")


def test_the_message_is_bounded(routes: Routes) -> None:
    with pytest.raises(NoSuchOperation) as caught:
        routes.match("X" * 10_000, "/" + "y" * 10_000)
    assert len(str(caught.value)) < 400
