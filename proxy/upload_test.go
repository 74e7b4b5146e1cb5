package proxy_test

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
)

// An upload is what an application saw of a request with a body.
type upload struct {
	head, body string
	err        error // of the body
}

// taking returns an application that takes one request a connection, tells the channel about it and answers.
func taking(t testing.TB) (*scriptedApp, <-chan upload) {
	uploads := make(chan upload, 16)
	return newApp(t, func(c *appConn) {
		for {
			var u upload
			var complete bool
			if u.head, complete = c.head(); !complete {
				return
			}
			if u.body, u.err = c.body(u.head); u.err == nil {
				c.write(ok("taken"))
			}
			if uploads <- u; u.err != nil {
				return
			}
		}
	}), uploads
}

func TestUploadsArriveAsTheyWereSent(t *testing.T) {
	app, uploads := taking(t)
	g := newGateway(t, app)
	c := g.dial()
	f := func(name, method, body string, lines ...string) {
		t.Helper()
		chunked := strings.Contains(strings.ToLower(strings.Join(lines, "\n")), "transfer-encoding")
		if chunked {
			c.send(request(method, "/public/x", "", lines...))
			for rest := body; rest != ""; {
				n := min(len(rest), 1000)
				c.send(fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n]))
				rest = rest[n:]
			}
			c.send("0\r\n\r\n")
		} else {
			c.send(request(method, "/public/x", body, lines...))
		}
		if res := c.next(method); res.StatusCode != 200 {
			t.Errorf("%s: status %d", name, res.StatusCode)
		}
		u := receive(t, uploads)
		if u.err != nil || u.body != body {
			t.Errorf("%s: the application got %d bytes, want %d, error %v", name, len(u.body), len(body), u.err)
		}
		if got := strings.Contains(u.head, "Transfer-Encoding: chunked\r\n"); got != chunked {
			t.Errorf("%s: framed as %q", name, u.head)
		}
		if strings.Contains(u.head, "Trailer") || strings.Contains(u.head, "Expect") {
			t.Errorf("%s: %q", name, u.head)
		}
	}
	large := strings.Repeat("0123456789abcdef", 8<<10)
	f("none", "POST", "")
	f("small", "POST", "hello")
	f("small on GET", "GET", "hello")
	f("small on DELETE", "DELETE", "hello")
	f("small chunked", "PUT", "hello", "Transfer-Encoding: chunked")
	f("chunked in capitals", "PUT", "hello", "TRANSFER-ENCODING: CHUNKED")
	f("empty chunked", "PATCH", "", "Transfer-Encoding: chunked")
	f("at the limit", "POST", large[:16<<10])
	f("over the limit", "POST", large[:16<<10+1])
	f("large", "POST", large)
	f("large chunked", "POST", large, "Transfer-Encoding: chunked")

	c.send("POST /public/x HTTP/1.1\r\nHost: app.example.com\r\nContent-Length: 00005\r\n\r\nhello")
	if u := receive(t, uploads); !strings.Contains(u.head, "Content-Length: 5\r\n") || u.body != "hello" {
		t.Errorf("length with zeros in front: %+v", u)
	}
}

// Chunk extensions and trailers are for the next hop only (RFC 9112 section 7.1), and trailers must not smuggle in a header that the
// gate did not write.
func TestChunkExtensionsAndTrailersEndHere(t *testing.T) {
	app, uploads := taking(t)
	g := newGateway(t, app)
	res := g.ask(request("POST", "/public/x", "", "Transfer-Encoding: chunked", "Trailer: X-User-Id") +
		"5;a=b;c=\"d\"\r\nhello\r\n0\r\nX-User-Id: root\r\n\r\n")
	if u := receive(t, uploads); res.StatusCode != 200 || u.body != "hello" {
		t.Errorf("status %d upload %+v", res.StatusCode, u)
	}
	all := strings.Join(app.received(), "")
	for _, leaked := range []string{"root", "a=b", "X-User-Id"} {
		if strings.Contains(all, leaked) {
			t.Errorf("the application saw %q", all)
		}
	}
}

// A body that is cut off or broken never looks complete to the application, and what follows it is never read as a request.
func TestCutOffUploadsAreNeverComplete(t *testing.T) {
	f := func(name, head, body string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			app, uploads := taking(t)
			g := newGateway(t, app)
			c := g.dial()
			c.send("POST /public/x HTTP/1.1\r\nHost: app.example.com\r\n" + head + "\r\n\r\n" + body)
			c.closeWrite()
			if rest := c.rest(); strings.Contains(rest, "taken") || strings.Count(rest, "HTTP/1.1") > 1 {
				t.Errorf("answered with %q", rest)
			}
			app.stop()
			select {
			case u := <-uploads:
				if u.err == nil {
					t.Errorf("the application saw a complete request with body %q", u.body)
				}
			default: // it saw no request at all
			}
		})
	}
	const chunked = "Transfer-Encoding: chunked"
	f("no chunk", chunked, "")
	f("part of a size", chunked, "5")
	f("size only", chunked, "5\r\n")
	f("part of a chunk", chunked, "5\r\nhel")
	f("chunk without its end", chunked, "5\r\nhello")
	f("between chunks", chunked, "5\r\nhello\r\n")
	f("between chunks after many", chunked, strings.Repeat("5\r\nhello\r\n", 5000))
	f("last chunk without its end", chunked, "5\r\nhello\r\n0\r\n")
	f("in the trailers", chunked+"\r\nTrailer: X-A", "5\r\nhello\r\n0\r\nX-A: b\r\n")
	f("chunk too long", chunked, "5\r\nhello!\r\n0\r\n\r\n")
	f("chunk too short", chunked, "6\r\nhello\r\n0\r\n\r\n")
	f("bare LF in a chunk size", chunked, "5\nhello\r\n0\r\n\r\n")
	f("hexadecimal prefix", chunked, "0x5\r\nhello\r\n0\r\n\r\n")
	f("sign", chunked, "+5\r\nhello\r\n0\r\n\r\n")
	f("blank before a size", chunked, " 5\r\nhello\r\n0\r\n\r\n")
	f("size beyond all bounds", chunked, "fffffffffffffffff\r\nhello\r\n0\r\n\r\n")
	f("LF in an extension", chunked, "5;a\nb\r\nhello\r\n0\r\n\r\n")
	f("not a size", chunked, "hello")
	f("short length", "Content-Length: 5", "hell")
	f("length without body", "Content-Length: 5", "")
	f("short large length", "Content-Length: 100000", strings.Repeat("x", 99999))
}

// An answer that comes before the body has been sent reaches the client, although the client is still sending.
func TestEarlyAnswerReachesTheClient(t *testing.T) {
	f := func(name, head, unit string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			app := newApp(t, func(c *appConn) {
				c.head()
				c.write("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\nConnection: close\r\n\r\ntoo large")
			})
			g := newGateway(t, app)
			for range 10 {
				c := g.dial()
				c.send(request("POST", "/public/x", "", head))
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					for range (64 << 20) / len(unit) {
						if _, err := io.WriteString(c, unit); err != nil {
							return
						}
					}
				}()
				res := c.next("POST")
				if res.StatusCode != 413 || res.body != "too large" || res.err != nil || !res.Close {
					t.Errorf("status %d body %q error %v close %v", res.StatusCode, res.body, res.err, res.Close)
				}
				c.nothing()
				_ = c.Close()
				<-sent
			}
		})
	}
	unit := strings.Repeat("x", 64<<10-1)
	f("length", "Content-Length: 1073741824", unit)
	f("chunked", "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n", len(unit), unit))
}

// A refusal reaches a client that is sending a large body, too.
func TestRefusalReachesASendingClient(t *testing.T) {
	g := newGateway(t, answering(t, ok("")))
	body := strings.Repeat("x", 1<<20)
	for range 20 {
		c := g.dial()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = io.WriteString(c, request("POST", "/x", body))
		}()
		if res := c.next("POST"); res.StatusCode != 401 || !res.Close {
			t.Fatalf("status %d close %v", res.StatusCode, res.Close)
		}
		c.nothing() // a reset could have overtaken the answer
		_ = c.Close()
		<-sent
	}
}

// A client without a session is answered before its body comes, and what it sends then is not taken for a request.
func TestNobodyWaitsForABodyThatNobodyWants(t *testing.T) {
	app := answering(t, ok("must not be seen"))
	g := newGateway(t, app, trusting)
	f := func(target string, status int, lines ...string) {
		t.Helper()
		c := g.dial()
		c.send(request("POST", target, "", append(lines, "Content-Length: 60")...))
		if res := c.next("POST"); res.StatusCode != status || !res.Close {
			t.Errorf("%s: status %d close %v", target, res.StatusCode, res.Close)
		}
		_, _ = io.WriteString(c, request("GET", "/public/smuggled", ""))
		if rest := c.rest(); rest != "" {
			t.Errorf("%s: another answer followed: %q", target, rest)
		}
	}
	f("/x", 401)
	f("/x", 401, "X-Session-Token: not a token")
	f("/deny/x", 403)
	f("/a/../b", 400)
	f("/.gatehouse/auth", 400)
	f("/.gatehouse/auth", 401, "X-Forwarded-Method: POST", "X-Forwarded-Host: app.example.com", "X-Forwarded-Uri: /x")
	f("/.gatehouse/auth", 200, "X-Forwarded-Method: POST", "X-Forwarded-Host: app.example.com", "X-Forwarded-Uri: /x", alice)
	f("/sessions/whoami", 405, alice)

	// Who presents a credential is heard as far as the first byte.
	c := g.dial()
	c.send(request("POST", "/x", "", "X-Session-Token: unknown", "Content-Length: 60") + request("GET", "/public/smuggled", ""))
	if res := c.next("POST"); res.StatusCode != 401 || !res.Close {
		t.Errorf("status %d close %v", res.StatusCode, res.Close)
	}
	c.nothing()
	if heads := app.heads(); len(heads) > 0 {
		t.Errorf("the application saw %q", heads)
	}
}

// The memory that a body takes on its way does not depend on its length, in either direction.
func TestLargeBodiesStreamInConstantMemory(t *testing.T) {
	const size, unit = 64 << 20, 64 << 10
	app := newApp(t, func(c *appConn) {
		nc, buf := c.Conn, make([]byte, unit) // not recorded
		if head, _ := c.head(); !strings.HasPrefix(head, "POST") {
			c.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
			for range size / unit {
				_, _ = nc.Write(buf)
			}
			return
		}
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(nc, size-int64(c.r.Buffered())), buf)
		c.write(ok("taken"))
	})
	g := newGateway(t, app)
	f := func(name string, transfer func(c *client, buf []byte)) {
		t.Helper()
		buf := make([]byte, unit)
		c := g.dial()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		transfer(c, buf)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
			t.Errorf("%s: %d bytes were allocated for a body of %d", name, grown, size)
		}
	}
	f("upload", func(c *client, buf []byte) {
		c.send(request("POST", "/public/x", "", fmt.Sprintf("Content-Length: %d", size)))
		for range size / unit {
			if _, err := c.Write(buf); err != nil {
				t.Fatal(err)
			}
		}
		if res := c.next("POST"); res.body != "taken" {
			t.Errorf("body %q", res.body)
		}
	})
	f("download", func(c *client, buf []byte) {
		c.send(request("GET", "/public/x", ""))
		for {
			line, err := c.r.ReadSlice('\n')
			if err != nil {
				t.Fatal(err)
			}
			if len(line) == 2 {
				break
			}
		}
		if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, io.LimitReader(struct{ io.Reader }{c.r}, size), buf); n != size {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// An application that neither reads nor answers is given up.
func TestApplicationThatDoesNotTakeTheBody(t *testing.T) {
	hold := make(chan struct{})
	app := newApp(t, func(c *appConn) {
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		c.head()
		<-hold
	})
	defer close(hold)
	g := newGateway(t, app, func(s *setup) { s.App.HeadTimeout = 50e6 })
	c := g.dial()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = io.WriteString(c, request("POST", "/public/x", strings.Repeat("x", 32<<20)))
	}()
	if res := c.next("POST"); res.StatusCode != 504 {
		t.Errorf("status %d", res.StatusCode)
	}
	_ = c.Close()
	<-sent
}

// An application that goes away while a client is about to send more has failed, and not the client.
func TestApplicationThatGoesAwayDuringAnUpload(t *testing.T) {
	f := func(name, framing, body string) {
		t.Helper()
		app := newApp(t, func(c *appConn) { _, _ = c.head() }) // reads the head, and closes
		g := newGateway(t, app)
		c := g.dial()
		c.send("POST /public/x HTTP/1.1\r\nHost: app.example.com\r\n" + framing + "\r\n\r\n" + body)
		if res := c.next("POST"); res.StatusCode != 502 {
			t.Errorf("%s: status %d, want 502", name, res.StatusCode)
		}
	}
	f("length", "Content-Length: 100000", strings.Repeat("x", 100))
	f("chunked", "Transfer-Encoding: chunked", "5\r\nhello\r\n")
}
