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
		p := c.Find(readHeader(t, lines...), make([]byte, 0, 16))
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

func TestCookieValues(t *testing.T) {
	f := func(want string, lines ...string) {
		t.Helper()
		var all []string
		for _, line := range lines {
			all = append(all, "Cookie: "+line)
		}
		for _, buf := range [][]byte{nil, make([]byte, 0, 4), make([]byte, 0, 1024)} {
			got, ok := cookieValues(readHeader(t, all...).PeekAll("Cookie"), "s", buf)
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

	if _, ok := cookieValues([][]byte{[]byte("s=1; s=2; s=3; s=4; s=5; s=6; s=7; s=8; s=9")}, "s", nil); ok {
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

func BenchmarkFind(b *testing.B) {
	c := Credentials{TokenHeader: "X-Session-Token", Cookie: "ory_kratos_session", Bearer: true}
	h := readHeader(b, "Cookie: a=1; ory_kratos_session="+strings.Repeat("c", 428)+"; b=2")
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if p := c.Find(h, buf); p.Kind != upstream.Cookie || len(p.Value) != 428 {
			b.Fatal("not found")
		}
	}
}
