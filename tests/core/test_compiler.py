"""Without a C++ compiler the reason is one line."""

from fairway.core.compiler import cannot_compile


def test_a_machine_without_a_compiler_says_so(monkeypatch):
    from torch._inductor import cpp_builder, exc

    def none_here():
        raise exc.InvalidCxxCompiler()

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none_here)
    assert cannot_compile() == "no C++ compiler was found"


def test_a_machine_with_a_compiler_has_no_excuse(monkeypatch):
    from torch._inductor import cpp_builder

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", lambda: "g++")
    assert cannot_compile() is None
