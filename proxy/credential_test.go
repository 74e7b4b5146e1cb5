package proxy

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// readHeader returns the head of a request as fasthttp reads it.
func readHeader(t testing.TB, lines ...string) *fasthttp.RequestHeader {
	t.Helper()
	head := "GET / HTTP/1.1\r\nHost: app.example.com\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	if len(lines) == 0 {
		head = "GET / HTTP/1.1\r\nHost: app.example.com\r\n\r\n"
	}
	h := new(fasthttp.RequestHeader)
	if err := h.Read(bufio.NewReaderSize(strings.NewReader(head), len(head)+1)); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestFindTakesTheFirstCredential(t *testing.T) {
	all := Credentials{TokenHeader: "X-Session-Token", Cookie: "s", Bearer: true}
	f := func(c Credentials, want string, lines ...string) {
		t.Helper()
		p := c.Find(readHeader(t, lines...), []byte("/"), make([]byte, 0, 16))
		got := fmt.Sprint(p.Kind, " ", p.Name, " ", string(p.Value))
		if p.Malformed {
			got = "malformed"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", lines, got, want)
		}
	}
	const none = "none  "
	f(all, none)
	// precedence: https://github.com/ory/kratos/blob/v26.2.0/session/manager_http.go#L211
	f(all, "session_token X-Session-Token t", "Authorization: Bearer b", "Cookie: s=c", "X-Session-Token: t")
	f(all, "cookie s c", "Authorization: Bearer b", "Cookie: s=c")
	f(all, "bearer  b", "Authorization: Bearer b")
	f(all, "cookie s c", "X-Session-Token:", "Cookie: s=c")
	f(all, "session_token X-Session-Token t", "X-Session-Token: t", "X-Session-Token: u")
	f(all, "cookie s c", "X-Session-Token:", "X-Session-Token: u", "Cookie: s=c")
	f(all, "session_token X-Session-Token t", "x-session-token:   t  ")
	f(all, none, "X_Session_Token: t", "X-Session-Cookie: c", "X-Session-Token2: t")
	// what is there and no credential is not passed over for the next
	f(all, "malformed", "X-Session-Token: a b", "Cookie: s=c")
	f(all, "malformed", "X-Session-Token: a\xc3\xa9", "Cookie: s=c")
	f(all, "malformed", "X-Session-Token: "+strings.Repeat("t", upstream.MaxCredential+1), "Cookie: s=c")
	f(all, "session_token X-Session-Token "+strings.Repeat("t", upstream.MaxCredential), "X-Session-Token: "+strings.Repeat("t", upstream.MaxCredential))
	f(all, "malformed", "Cookie: s="+strings.Repeat("c", upstream.MaxCredential+1), "Authorization: Bearer b")
	f(all, "malformed", "Authorization: Bearer "+strings.Repeat("b", upstream.MaxCredential+1))
	// the bearer token: https://github.com/ory/kratos/blob/v26.2.0/session/helper.go#L11
	f(all, "bearer  b", "Authorization: bearer b")
	f(all, "bearer  b", "authorization: BEARER b")
	f(all, none, "Authorization: Bearer  b")
	f(all, none, "Authorization: Bearer b c")
	f(all, none, "Authorization: Bearer")
	f(all, none, "Authorization: Bearer\tb")
	f(all, none, "Authorization: Basic b")
	f(all, none, "Authorization: Bearerx b")
	f(all, none, "Authorization: Basic YTpi", "Authorization: Bearer b") // the first counts
	f(all, none, "Authorization:")
	// kinds that are not looked at
	f(Credentials{}, none, "Authorization: Bearer b", "Cookie: s=c", "X-Session-Token: t")
	f(Credentials{Cookie: "s"}, "cookie s c", "Authorization: Bearer b", "Cookie: s=c", "X-Session-Token: t")
	f(Credentials{Bearer: true}, "bearer  b", "Authorization: Bearer b", "Cookie: s=c", "X-Session-Token: t")
	f(Credentials{TokenHeader: "X-Session-Token"}, none, "Authorization: Bearer b", "Cookie: s=c")
}

// The session cookie counts wherever it stands as the same credential, so that whatever ends one ends the other.
func TestFindTakesTheSessionCookieInAHeader(t *testing.T) {
	all := Credentials{TokenHeader: "X-Session-Token", CookieHeader: "X-Session-Cookie", Cookie: "s", Bearer: true}
	f := func(c Credentials, want string, lines ...string) {
		t.Helper()
		p := c.Find(readHeader(t, lines...), []byte("/"), nil)
		got := fmt.Sprint(p.By, ": ", p.Kind, " ", p.Name, " ", string(p.Value))
		if p.Malformed {
			got = "malformed"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", lines, got, want)
		}
	}
	f(all, "session_cookie: cookie s c", "X-Session-Cookie: c")
	f(all, "cookie: cookie s c", "Cookie: s=c")
	f(all, "session_cookie: cookie s c", "Cookie: s=d", "x-session-cookie:  c ", "Authorization: Bearer b")
	f(all, "session_cookie: cookie s c", "X-Session-Cookie: c", "X-Session-Cookie: d")
	f(all, "session_token: session_token X-Session-Token t", "X-Session-Cookie: c", "X-Session-Token: t")
	f(all, "cookie: cookie s c", "Cookie: s=c", "X-Session-Cookie:")
	f(all, "none: none  ", "X_Session_Cookie: c", "X-Session-Cookies: c")
	f(all, "malformed", "X-Session-Cookie: c;d", "Cookie: s=c") // one header has one value, or it could be two people's
	f(all, "malformed", "X-Session-Cookie: c d")
	f(all, "malformed", `X-Session-Cookie: "c"`)
	f(all, "malformed", "X-Session-Cookie: "+strings.Repeat("c", upstream.MaxCredential+1))
	f(Credentials{Cookie: "s"}, "none: none  ", "X-Session-Cookie: c")
}

// The session cookie of Ory Network has a name of its own for each project.
func TestFindTakesACookieByAPattern(t *testing.T) {
	c := Credentials{Cookie: "ory_session_*"}
	f := func(want string, lines ...string) {
		t.Helper()
		p := c.Find(readHeader(t, lines...), []byte("/"), nil)
		got := p.Name + " " + string(p.Value)
		if p.Malformed {
			got = "malformed"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", lines, got, want)
		}
	}
	f("ory_session_abc v", "Cookie: a=1; ory_session_abc=v; ory_sessionabc=2; Ory_session_abc=3")
	f("ory_session_ v", "Cookie: ory_session_=v")
	f("ory_session_abc v;w", "Cookie: ory_session_abc=v; ory_session_abc=w", "Cookie: ory_session_abc=v")
	f("ory_session_abc v", "Cookie: ory_session_xyz=; ory_session_abc=v; ory_session_uvw=a b") // what no service can read is nobody's
	// two names are two services, whose sessions may be two people's: it must not depend on their order who that is
	f("malformed", "Cookie: ory_session_abc=v; ory_session_xyz=w")
	f("malformed", "Cookie: ory_session_xyz=w; ory_session_abc=v")
	f("malformed", "Cookie: ory_session_abc=v", "Cookie: ory_session_xyz=v")
	f(" ", "Cookie: a=1; ory_session=v; session_ory_session_=w")
}

func TestCookieValues(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		var all []string
		for _, line := range lines {
			all = append(all, "Cookie: "+line)
		}
		for _, buf := range [][]byte{nil, make([]byte, 0, 4), make([]byte, 0, 1024)} {
			_, got, ok := cookieValues(readHeader(t, all...).PeekAll("Cookie"), "s", buf)
			if !ok || string(got) != want {
				t.Errorf("%q: %q, %v, want %q", lines, got, ok, want)
			}
		}
	}
	f("")
	f("", "a=1")
	f("1", "s=1")
	f("1", "a=0; s=1; b=2")
	f("1", "a=0;s=1;b=2")
	f("1", " ;; a ;s=1 ; ")
	f("1;2", "s=1; s=2")
	f("2;1", "s=2; a=0; s=1")
	f("1;2", "s=1", "s=2")
	f("1;2;3", "s=1; a=4", "b=5; s=2", "s=3; s=1; s=2")
	f("1", "s=1; s=1", "s=1")
	f("11;1", "s=11; s=1; s=11")
	f("1", "S=0; s=1; ss=2; as=3; s.=4")
	f("1", "s =1")
	f("1", "\ts\t=1\t")
	f("1", `s="1"`)
	f("", `s="1`, `s=1"`, `s=a"b`, `s=""`, `s="`)
	f("", "s", "s=", "=s", "s;=1", "")
	f("", "s= 1") // net/http keeps the blank, with which no service can read it
	f("", "s=a b", "s=a,b", `s=a\b`, "s=\xc3\xa9", "s=a\tb")
	f("1", "s=\xc3\xa9; s=1")
	f("a=b==", "s=a=b==")
	f("1", `prefs={"a":1}; s=1`)
	f("evil;good", `a="x; s=evil; y"; s=good`)
	f("!#$%&'()*+-./:<=>?@[]^_`{|}~", "s=!#$%&'()*+-./:<=>?@[]^_`{|}~")
	f("1;2;3;4;5;6;7;8", "s=1; s=2; s=3; s=4; s=5; s=6; s=7; s=8; s=1")

	if _, _, ok := cookieValues([][]byte{[]byte("s=1; s=2; s=3; s=4; s=5; s=6; s=7; s=8; s=9")}, "s", nil); ok {
		t.Error("nine different cookies are one credential")
	}
}

// The session cookie is taken out of what the application gets, and every other byte is left as it is.
func TestAppendOtherCookies(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		if got := appendOtherCookies([]byte("before "), []byte(line), cookieNames{"s"}, ""); string(got) != "before "+want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	f("", "")
	f("s=1", "")
	f("s=1; ", "")
	f("a=1", "a=1")
	f("a=1; b=2", "a=1; b=2")
	f("a=1; s=1; b=2", "a=1; b=2")
	f("s=1; a=1; b=2", "a=1; b=2")
	f("a=1; b=2; s=1", "a=1; b=2")
	f("s=1;a=1;s=2;b=2;s=3", "a=1;b=2")
	f("a=1;  b=2 ;c", "a=1;  b=2 ;c")
	f(" s =1; a=1", "a=1")
	f("s; a=1", "a=1")
	f("s=\"a b\"; s=\xff; a=1", "a=1")
	f(`prefs={"s":1}; s=1; x="y"`, `prefs={"s":1}; x="y"`)
	f("S=1; ss=2; s.=3", "S=1; ss=2; s.=3")
	f("a=s=1; b=;=c;", "a=s=1; b=;=c;")
}

// Of the cookies that match a pattern none is left, whichever of them counted.
func TestAppendOtherCookiesByAPattern(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		if got := appendOtherCookies(nil, []byte(line), cookieNames{"ory_session_*"}, ""); string(got) != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
	f("ory_session_a=1; b=2; ory_session_b=3; ory_session_=4", "b=2")
	f("b=2; ory_sessio=1; xory_session_a=1; Ory_session_a=1", "b=2; ory_sessio=1; xory_session_a=1; Ory_session_a=1")
	f(" ory_session_a", "")
}

// A name that is found by a pattern is not the request's, whose memory is another one's when it is looked at again.
func TestFindKeepsNoNameOfARequest(t *testing.T) {
	c := Credentials{Cookie: "ory_session_*"}
	line := []byte("ory_session_one=v")
	l := requestHead{cookies: [][]byte{line}}
	p := c.find(&l, nil, nil)
	copy(line, "ory_session_two=w")
	if p.Name != "ory_session_one" {
		t.Errorf("the name became %q", p.Name)
	}
}

func BenchmarkFind(b *testing.B) {
	c := Credentials{TokenHeader: "X-Session-Token", Cookie: "ory_kratos_session", Bearer: true}
	h := readHeader(b, "Cookie: a=1; ory_kratos_session="+strings.Repeat("c", 428)+"; b=2")
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if p := c.Find(h, nil, buf); p.Kind != upstream.Cookie || len(p.Value) != 428 {
			b.Fatal("not found")
		}
	}
}
