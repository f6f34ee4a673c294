package syncer

import (
	"errors"
	"strings"
	"testing"
)

func TestNormalise(t *testing.T) {
	for _, c := range []struct{ address, want string }{
		{"http://127.0.0.1:5001", "http://127.0.0.1:5001"},
		{"http://127.0.0.1:5001/", "http://127.0.0.1:5001"},
		{"HTTPS://Example.ORG///", "https://example.org"},
		{"http://example.org/a/Node/", "http://example.org/a/Node"},
		{"http://example.org/a%20b", "http://example.org/a%20b"},
		{"http://[::1]:5000/", "http://[::1]:5000"},
		{"http://[FE80::1%25Eth0]:5000/", "http://[fe80::1%25Eth0]:5000"},
		{"http://teacher-pc:65535", "http://teacher-pc:65535"},
	} {
		got, err := normalise(c.address)
		if err != nil || got != c.want {
			t.Errorf("%q: %q, %v", c.address, got, err)
		}
		if again, err := normalise(got); again != got || err != nil {
			t.Errorf("%q is not kept: %q, %v", got, again, err)
		}
	}
}

func TestNormaliseRefuses(t *testing.T) {
	for _, c := range []struct{ address, says string }{
		{"", "write http://"},
		{"127.0.0.1:5001", "write http://"},
		{"localhost:5001", "write http://"},
		{"/chain", "write http://"},
		{"ftp://example.org", "only http and https"},
		{"http://", "no host"},
		{"http://:5001", "no host"},
		{"http:///path", "no host"},
		{"http://user@example.org", "before the @"},
		{"http://user:secret@example.org", "before the @"},
		{"http://example.org?", "leave out the ?"},
		{"http://example.org/?a=b", "leave out the ?"},
		{"http://example.org/#top", "leave out the #"},
		{"http://example.org#", "leave out the #"},
		{"http://example.org:", "port is empty"},
		{"http://example.org:0", "1 to 65535"},
		{"http://example.org:65536", "1 to 65535"},
		{"http://example.org:http", "no URL"},
		{"http://exa mple.org", "no URL"},
		{"http://example.org/%zz", "no URL"},
		{"http://example.org/\x00", "no URL"},
		{"http://[::1", "no URL"},
		{"http://example.org/" + strings.Repeat("a", maxAddress), "the most is"},
	} {
		got, err := normalise(c.address)
		if !errors.Is(err, ErrAddress) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %q, %v", c.address, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error repeats a password: %v", c.address, err)
		}
	}
}

func FuzzNormalise(f *testing.F) {
	f.Add("http://127.0.0.1:5001/")
	f.Add("HTTPS://a@b:c/?#")
	f.Fuzz(func(t *testing.T, address string) {
		once, err := normalise(address)
		if err != nil {
			return
		}
		if twice, err := normalise(once); err != nil || twice != once {
			t.Errorf("%q becomes %q and then %q, %v", address, once, twice, err)
		}
	})
}
