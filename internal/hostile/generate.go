package hostile

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Connection returns what a client sends on one connection before it ends its side: a request, or several at once. The same seed gives
// the same bytes. About a third of the requests are in order; most others have something in them that has deceived a server before.
//
// Left out is what RFC 9110 and RFC 9112 allow and yet some server refuses, so that there is no second reading: an empty line before a
// request and an unknown expectation (net/http), a tab around a Host or a length and Authorization twice (nginx).
func Connection(seed uint64) []byte {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1))}
	for range g.pick(1, 1, 1, 2, 3) {
		if g.IntN(12) == 0 {
			g.WriteString(g.one(" ", "\x00", "0\r\n\r\n", "\r", " \r\n"))
		}
		g.request()
	}
	return []byte(g.String())
}

// A generator writes requests of random parts.
type generator struct {
	*rand.Rand
	strings.Builder
	calm bool // the request at hand is in order
}

// one returns one of the words.
func (g *generator) one(words ...string) string { return words[g.IntN(len(words))] }

// pick returns one of the numbers.
func (g *generator) pick(numbers ...int) int { return numbers[g.IntN(len(numbers))] }

// odd returns usual, and one of the others one time in ten, unless the request is to be in order.
func (g *generator) odd(usual string, others ...string) string {
	if g.calm || g.IntN(10) > 0 {
		return usual
	}
	return g.one(others...)
}

func (g *generator) request() {
	g.calm = g.IntN(3) == 0
	method := g.one("GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")
	method = g.odd(method, "get", "TRACE", "CONNECT", "G!T", "", "GET\x00", "PROPFIND", "GE T", "PRI", "\tGET")
	blank := g.odd(" ", "  ", "\t", "\x0b", "")
	version := g.odd("HTTP/1.1", "HTTP/1.0", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/01.1", "HTTP/1.10", "",
		"HTTP/0.9", "HTTP/1.1\t")
	lines := []string{method + blank + g.target() + g.odd(" ", "  ", "\t", "\x0b") + version}
	lines = append(lines, g.hosts()...)
	for range g.pick(0, 1, 2, 3) {
		lines = append(lines, g.field())
	}
	if !g.calm && g.IntN(60) == 0 {
		lines = append(lines, strings.Split(strings.Repeat("X-Many: 1\n", g.pick(100, 127, 128, 200)), "\n")[1:]...)
	}
	if g.IntN(8) == 0 {
		lines = append(lines, "Authorization: Basic YTpi")
	}
	framing, body := g.body(method)
	lines = append(lines, framing...)
	for i, line := range lines {
		if i > 1 && !g.calm && g.IntN(60) == 0 {
			line = g.one(" ", "\t") + line
		}
		g.WriteString(line + g.odd("\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r", "\r\r\n"))
	}
	g.WriteString(g.odd("\r\n", "\r\n", "\r\n", "\n", "\r") + body)
}

// target returns a request-target.
func (g *generator) target() string {
	if !g.calm && g.IntN(16) == 0 {
		return g.one("http://app.example.com/x", "HTTP://APP.example.com/x", "http://evil.example.com/x", "http://u:p@app.example.com/x",
			"//evil.example.com/x", "*", "app.example.com:443", "", "x", "?x", "https:/x", "http://app.example.com", "/x://y/z",
			"http://app.example.com/a/../x", "/http://evil.example.com/x")
	}
	var b strings.Builder
	for range g.pick(1, 1, 2, 2, 3, 4) {
		b.WriteString("/" + g.segment())
	}
	b.WriteString(g.odd("", "/", "//", "/.", "/..", ";", "/;", "#", "#x", "%", "%2", "\x7f", "%00", " "))
	return b.String() + g.odd(g.one("", "", "?", "?a=b", "?a=/../b&c=%2f%2e", "??"), "?a#b", "?\xff", "?a b", "?\t",
		"?%0d%0aX-User-Id:root",
		"?\x00", "?a=%zz")
}

func (g *generator) segment() string {
	plain := g.one("a", "public", "admin", "a.b", ".git", "~x", "a:b@c", "x-y_z", "!$&'()*+,=", "a%20b", "%41", "%c3%a9", "%23", "%3f",
		"a;x=y",
		"...", "a..")
	if g.calm {
		return plain
	}
	return g.odd(g.odd(plain, "", ".", "..", "..;x", ".;"), "%2e", "%2E%2e", ".%2e", "%2f", "a%2Fb", "..%2f", "%5c", `\`, `..\`, "%25",
		"%252e",
		"%2561", "%zz", "%", "%c0%ae", "%ff", "%00", "%0d%0a", "%7f", "%09", "%3b", "..%3b", "..%20", "..%00", "é", "a#", "a b",
		"%u002e", "\x01", "a|b", "\"", "<x>", "^", "`", "{x}", "A%2fB", "%2F%2e%2e%2F")
}

// hosts returns the Host lines, of which there should be one.
func (g *generator) hosts() []string {
	host := "Host: " + g.one("app.example.com", "app.example.com", "APP.Example.com", "app.example.com:8080", "app.example.com.",
		"127.0.0.1",
		"[::1]:80", "a_b.example.com")
	if g.calm || g.IntN(8) > 0 {
		return []string{host}
	}
	return [][]string{
		nil,
		{host, host},
		{host, "Host: evil.example.com"},
		{host, "host : evil.example.com"},
		{"Host : app.example.com"},
		{"Host:"},
		{"Host: a, b"},
		{"Host: u:p@app.example.com"},
		{"Host: app.example.com/x"},
		{"Host: app.example.com?x"},
		{"Host: a\x00b"},
		{"Host: a b"},
		{"Host: a%2eb"},
		{"Host: a..b"},
		{"Host: .a"},
		{"Host: :80"},
		{"Host: a:99999999"},
		{"Host: a:8a"},
		{"Host:\r\n app.example.com"},
		{"Host: a\r\n b"},
		{"Host: \xc3\xa9"},
		{"HOST:app.example.com "},
		{"Host: a..."},
		{"Host: [::1"},
		{"Host: -"},
		{"Host: a#b"},
	}[g.IntN(26)]
}

// field returns a header line that is not about framing.
func (g *generator) field() string {
	usual := g.one("X-Note: a", "x-note:b", "X-Note:  c  d ", "X-Note:", "Cookie: a=1; b=\"2\"", "Accept: */*", "X-Other: caf\xe9",
		"X-Note: \ta,b\t",
		"User-Agent: x", "Connection: keep-alive", "X-User-Id: root", "X_User_Id: root", "X-Forwarded-For: 1.2.3.4",
		"Content-Type: text/plain",
		"X-Original-Url: /admin")
	if g.calm || g.IntN(3) > 0 {
		return usual
	}
	return g.one("X-Note : a", "X-Note\t: a", "X Note: a", "X-Note\x00: a", "X-Note: a\x00b", "X-Note: a\rX-User-Id: root",
		"X-Note: a\nX-User-Id: root",
		"X-Note: a\r\n b", "X-Note: a\r\n\tX-User-Id: root", "X-Note:\r\n b", ": a", "X-Note", "X-Note\r", "X(Note): a", "X-Note\xe9: a",
		"\x01: a",
		"X-Note: a\x7f", "X-Note: a\x01", "X-Note: \x0b", "X.User.Id: root", "x-user-id: root", "Connection: close",
		"Connection: X-User-Id, close",
		"Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x", "Connection: Host", "Connection: Content-Length",
		"Connection: keep-alive, Close",
		"Expect: 100-continue", "TE: trailers", "Trailer: X-User-Id", "Keep-Alive: 1", "Proxy-Connection: close",
		"X-Http-Method-Override: DELETE", "Content_Length: 3", "Transfer_Encoding: chunked", "Content Length: 3", "Upgrade: websocket",
		"X-Forwarded-Host: evil.example.com", "Forwarded: host=evil.example.com", "Cookie: a=1\r\nCookie: b=2", "\xef\xbb\xbfX-Note: a")
}

// body returns the lines that frame a body, and the body.
func (g *generator) body(method string) (framing []string, body string) {
	bare := method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "DELETE"
	if bare && (g.calm || g.IntN(5) > 0) {
		return nil, ""
	}
	data := g.one("", "x", "hello", "0\r\n\r\nx",
		"GET /smuggled HTTP/1.1\r\nHost: app.example.com\r\n\r\n", strings.Repeat("0123456789", 2000))
	length := fmt.Sprintf("Content-Length: %d", len(data))
	if g.IntN(2) == 0 {
		if g.calm || g.IntN(3) > 0 {
			return []string{length}, data
		}
		less, more := fmt.Sprintf("Content-Length: %d", len(data)/2), fmt.Sprintf("Content-Length: %d", len(data)+3)
		n := strings.TrimPrefix(length, "Content-Length: ")
		return [][]string{
			{less},
			{more},
			{length, length},
			{length, less},
			{length + "," + n},
			{"Content-Length: +" + n},
			{"Content-Length: -" + n},
			{"Content-Length: 0x" + n},
			{"Content-Length: 0" + n},
			{"Content-Length : " + n},
			{"Content-Length:  " + n + " "},
			{"Content-Length:\r\n " + n},
			{"Content-Length:"},
			{"Content-Length: " + n + ".0"},
			{"Content-Length: " + n + "_0"},
			{"Content-Length: 99999999999999999999"},
			{"Content-Length: 18446744073709551617"},
			{length, "Transfer-Encoding: identity"},
			{length, "Transfer-Encoding: "},
			{length, "Transfer-Encoding: x"},
			{"Content-Length: " + n + "\x0b"},
			{"\x00" + length},
		}[g.IntN(22)], data
	}
	const chunked = "Transfer-Encoding: chunked"
	framing, body = []string{chunked}, g.chunks(data)
	if g.calm || g.IntN(2) > 0 {
		return framing, body
	}
	return [][]string{
		framing,
		{length, chunked},
		{chunked, length},
		{chunked, "Content-Length: 0"},
		{chunked, chunked},
		{"Transfer-Encoding: chunked, chunked"},
		{"Transfer-Encoding: gzip, chunked"},
		{"Transfer-Encoding: chunked, identity"},
		{"Transfer-Encoding: identity", chunked},
		{"Transfer-Encoding: identity"},
		{"Transfer-Encoding: CHUNKED"},
		{"transfer-encoding:chunked"},
		{"Transfer-Encoding: \x0bchunked"},
		{"Transfer-Encoding: chunked;a=b"},
		{"Transfer-Encoding: \"chunked\""},
		{"Transfer-Encoding : chunked"},
		{"Transfer-Encoding:\r\n chunked"},
		{"Transfer-Encoding: chunked\r\n "},
		{"X-Note: a\r\n Transfer-Encoding: chunked"},
		{"Transfer-Encoding: xchunked"},
		{"Transfer-Encoding:"},
		{"Transfer-Encoding: ,chunked"},
		{"Transfer_Encoding: chunked", length},
		{chunked, "Trailer: X-User-Id"},
	}[g.IntN(24)], body
}

// chunks returns data in chunks.
func (g *generator) chunks(data string) string {
	var b strings.Builder
	for data != "" {
		n := min(len(data), g.pick(1, 3, 5000, 9999))
		size := fmt.Sprintf("%x", n)
		size = g.odd(size, "0x"+size, "+"+size, " "+size, size+" ",
			"0"+size, "00000000000000000"+size, strings.ToUpper(size), size+";a=b", size+";a=\"\r\n\"",
			size+";a\n", size+"\t;a", "fffffffffffffffff", "ffffffffffffffff"+size, size+"g", "-"+size, "")
		b.WriteString(size + g.odd("\r\n", "\n", "\r", "\r\r\n", " \r\n") + data[:n] + g.odd("\r\n", "\n", "", "x\r\n", "\r"))
		data = data[n:]
	}
	b.WriteString(g.odd("0\r\n", "0;a=b\r\n", "000\r\n", "0\n", "", "0 \r\n", "-0\r\n", "0x0\r\n"))
	if !g.calm && g.IntN(8) == 0 {
		b.WriteString(g.one("X-User-Id: root\r\n", "X-Note: late\r\n", "Content-Length: 3\r\n", " x: y\r\n", "x\r\n", "Host: evil\r\n"))
	}
	return b.String() + g.odd("\r\n", "\n", "", "\r")
}
