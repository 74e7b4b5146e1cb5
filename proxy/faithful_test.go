package proxy_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// linesOf returns the head and the body of everything that the gateway sends up to the end of the connection, as the bytes are.
func linesOf(g *gateway, request string) (head []string, body string) {
	g.t.Helper()
	c := g.dial()
	c.send(request)
	all, body, _ := strings.Cut(c.rest(), "\r\n\r\n")
	return strings.Split(all, "\r\n"), body
}

// Every line of a head reaches the client as the application spelt it, however often there is one of the name, and in the order of their
// values. Nothing is added but a date, and that only if there is none.
func TestHeadsKeepTheirSpelling(t *testing.T) {
	const date = "Sun, 06 Nov 1994 08:49:37 GMT"
	f := func(name string, answer, want []string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, answering(t, strings.Join(answer, "\r\n")+"\r\n\r\nhello"))
			head, body := linesOf(g, request("GET", "/public/x", "", "Connection: close"))
			if !slices.Contains(want, "Date: "+date) && !slices.Contains(want, "date: "+date) {
				i := slices.IndexFunc(head, func(line string) bool { return strings.HasPrefix(line, "Date: ") })
				if i < 0 {
					t.Fatalf("no date in %q", head)
				}
				if at, err := time.Parse(http.TimeFormat, strings.TrimPrefix(head[i], "Date: ")); err != nil || time.Since(at) > time.Hour {
					t.Errorf("%q: %v", head[i], err)
				}
				head = slices.Delete(head, i, i+1)
			}
			slices.SortStableFunc(head[1:], byName)
			slices.SortStableFunc(want[1:], byName)
			if !slices.Equal(head, want) || body != "hello" {
				t.Errorf("head %q\nwant %q\nbody %q", head, want, body)
			}
		})
	}
	f("spelling", []string{
		"HTTP/1.1 200 All Right", "date: " + date, "ETag: \"a\"", "x-lower: 1", "X-XSS-Protection: 0", "WWW-Authenticate: A", "www-authenticate: B",
		"x_under: 1", "X.Dot: 2", "CONTENT-length: 5", "Set-Cookie: b=1; Path=/", "X-A: 2", "x-a: 1", "X-A: 3", "set-cookie: a=\"q\"", "sErVeR: s/1",
	}, []string{
		"HTTP/1.1 200 All Right", "date: " + date, "ETag: \"a\"", "x-lower: 1", "X-XSS-Protection: 0", "WWW-Authenticate: A", "www-authenticate: B",
		"x_under: 1", "X.Dot: 2", "CONTENT-length: 5", "Set-Cookie: b=1; Path=/", "set-cookie: a=\"q\"", "X-A: 2", "x-a: 1", "X-A: 3", "sErVeR: s/1",
		"Connection: close",
	})
	f("no date", []string{"HTTP/1.1 200 OK", "Content-Length: 5"}, []string{"HTTP/1.1 200 OK", "Content-Length: 5", "Connection: close"})
	f("date", []string{"HTTP/1.1 200 OK", "Date: " + date, "Content-Length: 5"},
		[]string{"HTTP/1.1 200 OK", "Date: " + date, "Content-Length: 5", "Connection: close"})
	f("date after interim responses without one", []string{
		"HTTP/1.1 100 Continue", "", "HTTP/1.1 100 Continue", "", "HTTP/1.1 200 OK", "Date: " + date, "Content-Length: 5",
	}, []string{"HTTP/1.1 200 OK", "Date: " + date, "Content-Length: 5", "Connection: close"})
	f("lines of the connection in any spelling", []string{
		"HTTP/1.1 200 OK", "Date: " + date, "Content-Length: 5", "connection: x-hop, X-Other", "CONNECTION: Keep-Alive", "X-Hop: 1", "x-hop: 2",
		"x-OTHER: 3", "keep-alive: timeout=5", "KEEP-ALIVE: max=1", "proxy-connection: a", "te: b", "upgrade: h2c", "x-gatehouse-reason: c",
		"X-GATEHOUSE-CACHE: d", "trailer: X-T", "X-T: stays",
	}, []string{"HTTP/1.1 200 OK", "Date: " + date, "Content-Length: 5", "X-T: stays", "Connection: close"})
	f("several dates", []string{"HTTP/1.1 200 OK", "Date: " + date, "date: " + date, "Content-Length: 5"},
		[]string{"HTTP/1.1 200 OK", "Date: " + date, "date: " + date, "Content-Length: 5", "Connection: close"})
}

// byName orders lines by the names of their headers.
func byName(a, b string) int {
	name := func(s string) string { n, _, _ := strings.Cut(strings.ToLower(s), ":"); return n }
	return strings.Compare(name(a), name(b))
}

// The gateway's own answers have a date, one, on every face.
func TestOwnAnswersAreDated(t *testing.T) {
	g := newGateway(t, newApp(t, func(c *appConn) { c.request() }), trusting)
	g.SetPolicy(signedPolicy(t, g.pool))
	f := func(request string) {
		t.Helper()
		head, _ := linesOf(g, request)
		n := 0
		for _, line := range head {
			if strings.HasPrefix(line, "Date: ") {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d dates in %q", n, head)
		}
	}
	const last = "Connection: close"
	f(request("GET", "/x", "", last))
	f(request("GET", "/public/x", "", last))
	f(request("GET", "/sessions/whoami", "", last))
	f(request("GET", "/sessions/whoami", "", last, alice))
	f(request("GET", "/sessions/whoami?a=b", "", last, alice))
	f(request("GET", "/.well-known/jwks.json", "", last))
	f(request("GET", authPath, "", append(about("GET", "/x", alice), last)...))
	f(request("POST", "/x", "", last, expects, "Content-Length: 5"))
	f("garbage\r\n\r\n")
	g = newGateway(t, nil, func(s *setup) { s.Rules = corsRules })
	f(request("OPTIONS", "/any/x", "", last, page, put))
}

// A body reaches the client byte for byte, whatever its encoding, and a part of it is a part.
func TestBodiesAreNotTouched(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = io.WriteString(w, longBody)
	_ = w.Close()
	app := answering(t,
		ok(packed.String(), "Content-Encoding: gzip", "Content-Type: text/plain"),
		strings.Replace(ok(packed.String()[:100], "Content-Range: bytes 0-99/9999", "Content-Encoding: gzip"), "200 OK", "206 Partial Content", 1))
	g := newGateway(t, app)
	res := g.get("/public/x", "Accept-Encoding: gzip", "Range: bytes=0-99")
	if res.body != packed.String() || res.Header.Get("Content-Encoding") != "gzip" || res.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("head %v, %d bytes", res.Header, len(res.body))
	}
	res = g.get("/public/x", "Range: bytes=0-99")
	if res.StatusCode != 206 || res.body != packed.String()[:100] || res.Header.Get("Content-Range") != "bytes 0-99/9999" {
		t.Errorf("head %v, %d bytes", res.Header, len(res.body))
	}
	if heads := app.heads(); !strings.Contains(heads[0], "Accept-Encoding: gzip\r\n") || !strings.Contains(heads[0], "Range: bytes=0-99\r\n") {
		t.Errorf("the application saw %q", heads[0])
	}
}

// Interim responses reach a client that can understand them, at once, and without what belongs to the connection.
func TestInterimResponsesArriveAtOnce(t *testing.T) {
	release := make(chan struct{})
	app := newApp(t, func(c *appConn) {
		for {
			if _, complete := c.request(); !complete {
				return
			}
			c.write("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nLink: </b.js>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n")
			c.write("HTTP/1.1 102 Processing\r\nContent-Length: 5\r\nAccess-Control-Allow-Origin: *\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
			<-release
			c.write(ok("done", "Link: </c.css>"))
		}
	})
	g := newGateway(t, app)
	c := g.dial()
	for range 2 {
		c.send(request("GET", "/public/x", ""))
		early := c.nextHead("GET")
		if early.StatusCode != 103 || !slices.Equal(early.Header["Link"], []string{"</a.css>; rel=preload", "</b.js>"}) || len(early.Header) != 1 {
			t.Errorf("status %d head %v", early.StatusCode, early.Header)
		}
		if processing := c.nextHead("GET"); processing.StatusCode != 102 || len(processing.Header) != 0 {
			t.Errorf("status %d head %v", processing.StatusCode, processing.Header)
		}
		release <- struct{}{}
		if res := c.next("GET"); res.StatusCode != 200 || res.body != "done" || !slices.Equal(res.Header["Link"], []string{"</c.css>"}) {
			t.Errorf("status %d head %v body %q", res.StatusCode, res.Header, res.body)
		}
	}

	// Not those who do not know them. Those of several requests that came at once go to each.
	f := func(want int, requests ...string) {
		t.Helper()
		c := g.dial()
		c.send(strings.Join(requests, ""))
		for range requests {
			select {
			case release <- struct{}{}:
			case <-time.After(patience):
				t.Fatal("the application was not asked")
			}
		}
		rest := c.rest()
		if final, early := strings.Count(rest, "HTTP/1.1 200 OK\r\n"), strings.Count(rest, "HTTP/1.1 103"); final != len(requests) ||
			early != want {
			t.Errorf("%q", rest)
		}
	}
	f(0, "GET /public/x HTTP/1.0\r\nHost: app.example.com\r\n\r\n")
	f(0, request("POST", "/public/x", "hello", "Connection: close"))
	f(2, request("GET", "/public/x", ""), request("GET", "/public/x", "", "Connection: close"))
}

// Events arrive one by one, however the application frames its stream and whichever version the client speaks.
func TestEventsArriveOneByOne(t *testing.T) {
	f := func(name, version, head string, frame func(string) string, end string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			next := make(chan string)
			app := newApp(t, func(c *appConn) {
				c.request()
				c.write(head)
				for event := range next {
					c.write(frame(event))
				}
				c.write(end)
			})
			g := newGateway(t, app)
			c := g.dial()
			c.send("GET /public/x " + version + "\r\nHost: app.example.com\r\n\r\n")
			var res *http.Response
			if name != "length" {
				res = c.nextHead("GET") // before the first event
			}
			for _, event := range []string{"data: 1\n\n", "data: 2\n\n", ": still here\n\n"} {
				next <- event
				if res == nil {
					res = c.nextHead("GET")
				}
				got := make([]byte, len(event))
				if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != event {
					t.Fatalf("%q, %v", got, err)
				}
			}
			close(next)
			if rest, err := readAll(res); err != nil || rest != "" {
				t.Errorf("%q, %v", rest, err)
			}
		})
	}
	plain := func(s string) string { return s }
	chunked := func(s string) string { return chunks(s, 99) }
	const typed = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
	f("chunked", "HTTP/1.1", typed+"Transfer-Encoding: chunked\r\n\r\n", chunked, "0\r\n\r\n")
	f("until the end", "HTTP/1.1", typed+"\r\n", plain, "")
	f("length", "HTTP/1.1", typed+"Content-Length: 32\r\n\r\n", plain, "")
	f("to HTTP/1.0", "HTTP/1.0", typed+"Transfer-Encoding: chunked\r\n\r\n", chunked, "0\r\n\r\n")
	f("until the end to HTTP/1.0", "HTTP/1.0", typed+"\r\n", plain, "")
}

// Lines of a head may end in a line feed alone (RFC 9112 section 2.2), as scripts write them. The client gets lines that end as they should.
func TestHeadsOfBareLineFeeds(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\nContent-Length: 5\nX-A: b\n\nhello",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\nX-A: b\r\n\nhello",
		"HTTP/1.1 200 OK\nContent-Length: 5\nX-A: b\n\r\nhello",
		"HTTP/1.1 103 Early Hints\nLink: </a>\n\nHTTP/1.1 200 OK\nX-A: b\nContent-Length: 5\n\nhello",
		"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nX-A: b\n\n5\r\nhello\r\n0\r\n\r\n",
	} {
		g := newGateway(t, answering(t, answer))
		for range 2 {
			if res := g.get("/public/x"); res.StatusCode != 200 || res.body != "hello" || res.Header.Get("X-A") != "b" {
				t.Errorf("%q became %d, %v and %q", answer, res.StatusCode, res.Header, res.body)
			}
		}
	}
}
