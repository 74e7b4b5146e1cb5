package proxy_test

import (
	"strings"
	"testing"
)

// Heads and framings that two servers could read differently are refused with 400, the connection ends, and the application sees
// nothing of them (pitfalls of RFC 9112 sections 2.2, 5.2, 6.1 and 6.3).
func TestAmbiguousFramingIsRefused(t *testing.T) {
	app := answering(t, ok("must not be seen"))
	g := newGateway(t, app)
	f := func(name, head string, status int) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			t.Helper()
			c := g.dial()
			c.t = t
			c.send(head + "0\r\n\r\nGET /public/smuggled HTTP/1.1\r\nHost: app.example.com\r\n\r\n")
			if res := c.next("POST"); res.StatusCode != status {
				t.Errorf("status %d, want %d", res.StatusCode, status)
			}
			if rest := c.rest(); rest != "" {
				t.Errorf("another answer followed: %q", rest)
			}
		})
	}
	post := func(lines ...string) string {
		return "POST /public/x HTTP/1.1\r\nHost: app.example.com\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	elsewhere := func(path string, lines ...string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: app.example.com\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	// Where the body is not wanted, the answer is what it would be without one, and the connection ends all the same.
	for _, line := range []string{"Transfer-Encoding: identity", "X: a\r\n Transfer-Encoding: chunked", "Transfer-Encoding: chunked", "Content-Length: 5"} {
		f("refused path, "+line, elsewhere("/x", line), 401)
		f("whoami, "+line, elsewhere("/sessions/whoami", line), 401)
	}
	f("length and chunked", post("Content-Length: 5", "Transfer-Encoding: chunked"), 400)
	f("chunked and length", post("Transfer-Encoding: chunked", "Content-Length: 5"), 400)
	f("chunked and length zero", post("Transfer-Encoding: chunked", "Content-Length: 0"), 400)
	f("identity", post("Transfer-Encoding: identity"), 400)
	f("identity and length", post("Transfer-Encoding: identity", "Content-Length: 5"), 400)
	f("two encodings", post("Transfer-Encoding: gzip, chunked"), 400)
	f("encoding twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), 400)
	f("encoding identity then chunked", post("Transfer-Encoding: identity", "Transfer-Encoding: chunked"), 400)
	f("unknown encoding", post("Transfer-Encoding: xchunked"), 400)
	f("encoding with vertical tab", post("Transfer-Encoding: \x0bchunked"), 400)
	f("blank before colon", post("Transfer-Encoding : chunked"), 400)
	f("folded encoding", post("Transfer-Encoding:\r\n chunked"), 400)
	f("folded after another line", post("X-A: b", " Transfer-Encoding: chunked"), 400)
	f("alias of the encoding", post("Transfer_Encoding: chunked", "Content-Length: 5", "Transfer-Encoding: chunked"), 400)
	f("chunked in HTTP/1.0", "POST /public/x HTTP/1.0\r\nHost: app.example.com\r\nTransfer-Encoding: chunked\r\n\r\n", 400)

	f("length twice", post("Content-Length: 5", "Content-Length: 5"), 400)
	f("two lengths", post("Content-Length: 5", "Content-Length: 6"), 400)
	f("list of lengths", post("Content-Length: 5, 5"), 400)
	f("length with sign", post("Content-Length: +5"), 400)
	f("negative length", post("Content-Length: -5"), 400)
	f("hexadecimal length", post("Content-Length: 0x5"), 400)
	f("empty length", post("Content-Length:"), 400)
	f("length with blank", post("Content-Length: 5 5"), 400)
	f("endless length", post("Content-Length: 99999999999999999999"), 400)

	f("obs-fold", post("X-A: b", "\tc"), 400)
	f("bare LF", "POST /public/x HTTP/1.1\r\nHost: app.example.com\nX-A: b\r\n\r\n", 400)
	f("bare LF before the blank line", "POST /public/x HTTP/1.1\r\nHost: app.example.com\n\r\n", 400)
	f("two bare LFs", "POST /public/x HTTP/1.1\r\nHost: app.example.com\n\n", 400)
	f("bare CR", post("X-A: b\rX-B: c"), 400)
	f("NUL", post("X-A: b\x00c"), 400)
	f("blank in a name", post("X User-Id: v"), 400)
	f("no name", post(": v"), 400)
	f("no colon", post("X-A"), 400)
	f("name beyond ASCII", post("X-\xc3\xa9: v"), 400)

	f("no host", "POST /public/x HTTP/1.1\r\nX-A: b\r\n\r\n", 400)
	f("no host in HTTP/1.0", "POST /public/x HTTP/1.0\r\nContent-Length: 5\r\n\r\n", 400)
	f("empty host", "POST /public/x HTTP/1.1\r\nHost:\r\n\r\n", 400)
	f("two hosts", post("Host: app.example.com"), 400)
	f("two blanks", "POST  /public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n", 400)
	f("tab", "POST\t/public/x HTTP/1.1\r\nHost: app.example.com\r\n\r\n", 400)
	f("lower-case version", "POST /public/x http/1.1\r\nHost: app.example.com\r\n\r\n", 400)
	f("no version", "POST /public/x\r\nHost: app.example.com\r\n\r\n", 400)
	f("version 2.0", "POST /public/x HTTP/2.0\r\nHost: app.example.com\r\n\r\n", 505)
	f("version 1.2", "POST /public/x HTTP/1.2\r\nHost: app.example.com\r\n\r\n", 505)
	f("version 0.9", "POST /public/x HTTP/0.9\r\nHost: app.example.com\r\n\r\n", 505)

	if heads := app.heads(); len(heads) > 0 {
		t.Errorf("the application saw %q", heads)
	}
}

// A client may end its connection with a request, in any spelling (RFC 9112 section 9.6).
func TestConnectionEndsWhenTheClientSaysSo(t *testing.T) {
	app := answering(t, ok("hello"))
	g := newGateway(t, app)
	for _, line := range []string{
		"Connection: close", "Connection: Close", "Connection: TE, CLOSE ",
		"Connection: close\r\nConnection: TE", "Connection: TE\r\nConnection: close",
	} {
		c := g.dial()
		c.send(request("GET", "/public/x", "", line) + request("GET", "/public/y", ""))
		if res := c.next("GET"); res.body != "hello" || !res.Close {
			t.Errorf("%q: body %q close %v", line, res.body, res.Close)
		}
		if rest := c.rest(); rest != "" {
			t.Errorf("%q: another answer followed: %q", line, rest)
		}
	}
	if n := len(app.received()); n != 1 {
		t.Errorf("%d connections to the application: the client's are not its own", n)
	}
}
