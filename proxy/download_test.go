package proxy_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

var longBody = strings.Repeat("0123456789abcdef", 5<<10) // more than any buffer

func chunks(body string, size int) string {
	var b strings.Builder
	for body != "" {
		n := min(size, len(body))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return b.String()
}

// A response of any framing arrives complete, in a framing that the client knows, and the connection serves the next request where both
// sides know where it begins.
func TestResponsesArriveAsTheyWereSent(t *testing.T) {
	type want struct {
		status       int
		body, length string // the length as the head has it
		reused       bool   // whether the connection to the application is
	}
	f := func(name, method, answer string, closes bool, w want) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			app := newApp(t, func(c *appConn) {
				for {
					if _, ok := c.request(); !ok {
						return
					}
					if c.write(answer); closes {
						return
					}
				}
			})
			g := newGateway(t, app)
			c := g.dial()
			for range 2 {
				c.send(request(method, "/public/x", ""))
				res := c.next(method)
				if res.err != nil || res.StatusCode != w.status || res.body != w.body || res.Header.Get("Content-Length") != w.length ||
					res.Close {
					t.Errorf("status %d, %d bytes, error %v, head %v, close %v", res.StatusCode, len(res.body), res.err, res.Header, res.Close)
				}
			}
			if conns := len(app.received()); conns != 2 && !w.reused || conns != 1 && w.reused {
				t.Errorf("%d connections to the application", conns)
			}

			c = g.dial()
			c.send(method + " /public/x HTTP/1.0\r\nHost: app.example.com\r\nConnection: keep-alive\r\n\r\n")
			res := c.next(method)
			if res.err != nil || res.StatusCode != w.status || res.body != w.body || res.TransferEncoding != nil {
				t.Errorf("HTTP/1.0: status %d, %d bytes, error %v, head %v", res.StatusCode, len(res.body), res.err, res.Header)
			}
		})
	}
	f("length", "GET", ok("hello"), false, want{200, "hello", "5", true})
	f("length zero", "GET", ok(""), false, want{200, "", "0", true})
	f("long", "GET", ok(longBody), false, want{200, longBody, fmt.Sprint(len(longBody)), true})
	f("chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks("hello", 2)+"0\r\n\r\n", false,
		want{200, "hello", "", true})
	f("chunked, long", "GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n"+chunks(longBody, 9999)+"0\r\n\r\n", false,
		want{200, longBody, "", true})
	f("chunked, empty", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, want{200, "", "", true})
	f("chunked, with trailers", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"+
		chunks("hello", 9)+"0\r\nX-Sum: 1\r\n\r\n", false, want{200, "hello", "", true})
	f("chunked beside a length", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"+
		chunks("hello", 9)+"0\r\n\r\n", false, want{200, "hello", "", true})
	f("until the end", "GET", "HTTP/1.1 200 OK\r\n\r\nhello", true, want{200, "hello", "", false})
	f("until the end, long", "GET", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"+longBody, true, want{200, longBody, "", false})
	f("HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", true, want{200, "hello", "5", false})
	f("HTTP/1.0 until the end", "GET", "HTTP/1.0 200 OK\r\n\r\nhello", true, want{200, "hello", "", false})
	f("announced end", "GET", ok("hello", "Connection: close"), true, want{200, "hello", "5", false})
	f("announced end in another case", "GET", ok("hello", "Connection: X-A, Close"), true, want{200, "hello", "5", false})
	f("HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, want{200, "", "5", true})
	f("HEAD of a chunked body", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, want{200, "", "", true})
	f("HEAD of a body until the end", "HEAD", "HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n", true, want{200, "", "", false})
	f("204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, want{204, "", "", true})
	f("204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false, want{204, "", "", true})
	f("304", "GET", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", false, want{304, "", "", true})
	f("304 with the length of the 200", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, want{304, "", "5", true})
	f("206", "GET", "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello", false,
		want{206, "hello", "5", true})
	f("after interim responses", "GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"+ok("hello"),
		false, want{200, "hello", "5", true})
	f("status without a name", "GET", "HTTP/1.1 299 \r\nContent-Length: 5\r\n\r\nhello", false, want{299, "hello", "5", true})
	f("status 999", "GET", "HTTP/1.1 999 Nonsense\r\nContent-Length: 5\r\n\r\nhello", false, want{999, "hello", "5", true})
	f("error", "GET", "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nhello", false, want{500, "hello", "5", true})
}

// The head of a response passes as it is, without what belongs to the connection and what only the gateway may say.
func TestResponseHeadIsKept(t *testing.T) {
	app := answering(t, strings.Join([]string{
		"HTTP/1.1 418 I'm a teapot", "Server: app/1", "Set-Cookie: b=2; Path=/", "X-A: 1", "Set-Cookie: a=1", "X-A: 2", "x-lower: v",
		"Content-Encoding: gzip",
		"Set-Cookie: b=3", "ETag: W/\"x\"", "Location: /there?a=b%20c", "WWW-Authenticate: Basic realm=\"app\"",
		"Cache-Control: public, max-age=9",
		"Content-Length: 5", "X-Empty:", "Vary: Cookie", "Vary: Accept",
		"Connection: X-Hop, keep-alive", "X-Hop: 1", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive",
		"Proxy-Authenticate: Basic", "TE: trailers",
		"Upgrade: h2c", "X-Gatehouse-Reason: forged", "X-Gatehouse-Cache: forged", "x_gatehouse.jwt: forged", "X B: blank", "", "hello",
	}, "\r\n"))
	g := newGateway(t, app)
	res := g.get("/public/x")
	res.Header.Del("Date")
	want := http.Header{
		"Server": {"app/1"}, "Set-Cookie": {"b=2; Path=/", "a=1", "b=3"}, "X-A": {"1", "2"}, "X-Lower": {"v"}, "Content-Encoding": {"gzip"},
		"Etag": {"W/\"x\""}, "Location": {"/there?a=b%20c"}, "Www-Authenticate": {"Basic realm=\"app\""},
		"Cache-Control":  {"public, max-age=9"},
		"Content-Length": {"5"}, "X-Empty": {""}, "Vary": {"Cookie", "Accept"},
	}
	if fmt.Sprint(res.Header) != fmt.Sprint(want) || res.Status != "418 I'm a teapot" || res.body != "hello" {
		t.Errorf("%s\n%v\nwant\n%v", res.Status, res.Header, want)
	}
	// No type was stated, and none is made up.
	app = answering(t, ok(longBody), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", ok("short"))
	g = newGateway(t, app)
	c := g.dial()
	for range 3 {
		c.send(request("GET", "/public/x", ""))
		if res := c.next("GET"); res.Header["Content-Type"] != nil {
			t.Errorf("made up: %q", res.Header["Content-Type"])
		}
	}
}

// A renewed session cookie is added to the application's response, whatever its framing.
func TestRenewedCookieReachesTheClient(t *testing.T) {
	app := answering(t,
		ok("hello", "Set-Cookie: a=1"), "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nSet-Cookie: a=1\r\n\r\n")
	g := newGateway(t, app)
	answer := hit(session("alice"))
	answer.Renewed = upstreamtest.SetCookie("ory_kratos_session=new; Path=/", "csrf=x")
	g.sessions.know("cookie renew", answer, nil)
	for _, version := range []string{"1.1", "1.0"} {
		for range 3 {
			res := g.ask("GET /x HTTP/" + version + "\r\nHost: app.example.com\r\nCookie: ory_kratos_session=renew\r\n\r\n")
			if want := []string{"a=1", "ory_kratos_session=new; Path=/", "csrf=x"}; !slices.Equal(res.Header["Set-Cookie"], want) {
				t.Errorf("HTTP/%s: %q", version, res.Header["Set-Cookie"])
			}
		}
	}
}

// A response that is cut off is cut off for the client, too.
func TestCutOffResponsesAreNeverComplete(t *testing.T) {
	f := func(name, answer string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			app := newApp(t, func(c *appConn) {
				c.request()
				c.write(answer)
			})
			g := newGateway(t, app)
			for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
				c := g.dial()
				c.send("GET /public/x " + version + "\r\nHost: app.example.com\r\n\r\n")
				// All that there is, as a client sees it that waits for the end.
				res, err := http.ReadResponse(c.r, nil)
				if err != nil {
					continue // no response at all
				}
				if res.StatusCode >= 500 {
					continue
				}
				if version == "HTTP/1.0" && res.ContentLength < 0 {
					continue // its body ends where the connection does, so that nothing can be told apart
				}
				if body, err := readAll(res); err == nil {
					t.Errorf("%s: a complete response: %d bytes, head %v", version, len(body), res.Header)
				}
				c.rest()
			}
		})
	}
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	f("short length", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello")
	f("short large length", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+longBody)
	f("length without body", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
	f("no chunk", chunked)
	f("part of a chunk", chunked+"5\r\nhel")
	f("between chunks", chunked+chunks("hello", 2))
	f("between long chunks", chunked+chunks(longBody, 5000))
	f("last chunk without its end", chunked+"5\r\nhello\r\n0\r\n")
	f("last chunk without anything", chunked+"5\r\nhello\r\n0")
	f("in the trailers", chunked+"5\r\nhello\r\n0\r\nX-A: b\r\n")
	f("chunk too long", chunked+"5\r\nhello!\r\n0\r\n\r\n")
	f("no size", chunked+"hello\r\n0\r\n\r\n")
	f("endless trailers", chunked+"0\r\n"+strings.Repeat("X-A: b\r\n", 200)+"\r\n")
}

// What an application sends beyond its response never becomes the answer to another request (CVE-2026-71324).
func TestStrayBytesReachNobody(t *testing.T) {
	stray := ok("stray")
	f := func(name, method, answer string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			app := newApp(t, func(c *appConn) {
				for {
					if _, complete := c.request(); !complete {
						return
					}
					if c.n == 0 {
						c.write(answer + stray)
					} else {
						c.write(ok("right"))
					}
				}
			})
			g := newGateway(t, app)
			g.ask(request(method, "/public/x", ""))
			for range 3 {
				if res := g.get("/public/x"); res.body != "right" {
					t.Errorf("another user got %q", res.body)
				}
			}
		})
	}
	f("length", "GET", ok("first"))
	f("empty", "GET", ok(""))
	f("long", "GET", ok(longBody))
	f("chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n")
	f("204", "GET", "HTTP/1.1 204 No Content\r\n\r\n")
	f("304", "GET", "HTTP/1.1 304 Not Modified\r\n\r\n")
	f("HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst")
	f("101", "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
}

// What is no HTTP response is no answer, and nothing of it is repeated to the client or to the log, where it might be a secret.
func TestBrokenResponsesAreNotRepeated(t *testing.T) {
	f := func(name, answer string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			app := newApp(t, func(c *appConn) {
				c.request()
				c.write(answer)
			})
			g := newGateway(t, app)
			res := g.get("/public/x")
			if res.StatusCode != 502 || strings.Contains(res.body, "secret") || res.Header.Get("X-A") != "" {
				t.Errorf("status %d body %q head %v", res.StatusCode, res.body, res.Header)
			}
			if log := g.log.String(); !strings.Contains(log, "application did not answer") || strings.Contains(log, "secret") {
				t.Errorf("log %q", log)
			}
		})
	}
	f("nothing", "")
	f("garbage", "secret garbage\r\n\r\n")
	f("hardly anything", "A\n\n")
	f("blank lines only", "\r\n\r\n")
	f("another protocol", "SSH-2.0-secret\r\n\r\n")
	f("HTTP/0.9", "secret")
	f("part of a head", "HTTP/1.1 200 OK\r\nX-A: secret\r\n")
	f("bad version", "HTTP/x.secret 200 OK\r\nX-A: b\r\n\r\n")
	f("no status", "HTTP/1.1 secret\r\nX-A: b\r\n\r\n")
	f("status 000", "HTTP/1.1 000 secret\r\nX-A: b\r\n\r\n")
	f("status 42", "HTTP/1.1 042 secret\r\nX-A: b\r\n\r\n")
	f("no colon", "HTTP/1.1 200 OK\r\nX-A: b\r\nsecret\r\n\r\n")
	f("NUL", "HTTP/1.1 200 OK\r\nX-A: secret\x00\r\n\r\n")
	f("two lengths", "HTTP/1.1 200 OK\r\nX-A: secret\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")
	f("negative length", "HTTP/1.1 200 OK\r\nX-A: secret\r\nContent-Length: -5\r\n\r\nhello")
	f("unknown encoding", "HTTP/1.1 200 OK\r\nX-A: secret\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
	f("head too large", "HTTP/1.1 200 OK\r\nX-A: secret"+longBody+"\r\n\r\n")
	f("too many interim responses", strings.Repeat("HTTP/1.1 100 secret\r\n\r\n", 20)+ok("hello"))
	f("interim response only", "HTTP/1.1 100 secret\r\n\r\n")
	f("unasked 101", "HTTP/1.1 101 secret\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
}

// Every chunk is passed on when it comes: events arrive although the response does not end.
func TestChunksArriveAtOnce(t *testing.T) {
	next := make(chan string)
	app := newApp(t, func(c *appConn) {
		c.request()
		c.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
		for event := range next {
			c.write(chunks(event, 99))
		}
		c.write("0\r\n\r\n")
	})
	g := newGateway(t, app)
	c := g.dial()
	c.send(request("GET", "/public/x", ""))
	res, err := http.ReadResponse(c.r, nil) // before the first event
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range []string{"data: 1\n\n", "data: 2\n\n"} {
		next <- event
		got := make([]byte, len(event))
		if _, err := res.Body.Read(got); err != nil || string(got) != event {
			t.Fatalf("%q, %v", got, err)
		}
	}
	close(next)
	if rest, err := readAll(res); err != nil || rest != "" {
		t.Errorf("%q, %v", rest, err)
	}
}

// A client that goes away in the middle of a response ends it for the application.
func TestGoneClientEndsTheDownload(t *testing.T) {
	ended := make(chan error, 1)
	app := newApp(t, func(c *appConn) {
		c.request()
		c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := c.Write([]byte("5\r\nhello\r\n")); err != nil {
				ended <- err
				return
			}
		}
	})
	g := newGateway(t, app)
	c := g.dial()
	c.send(request("GET", "/public/x", ""))
	if _, err := c.r.ReadByte(); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if err := receive(t, ended); isTimeout(err) {
		t.Error("the application went on")
	}
}
