package proxy_test

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// limits returns which limits were reached so far.
func (o *observer) limits() []proxy.Limit {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.limited)
}

// limiting sets limits.
func limiting(l proxy.Limits) func(*setup) { return func(s *setup) { s.Limits = l } }

// smallBodies has a route that takes bodies of 100 bytes.
func smallBodies(s *setup) {
	s.Rules = append([]policy.Rule{
		{Name: "small", Path: "/public/small/*", Access: policy.PublicAccess, MaxBody: 100},
		{Name: "small session", Path: "/small/*", Access: policy.SessionAccess, MaxBody: 100},
	}, s.Rules...)
}

// Every limit of a head has its own status, reason and count, and the connection ends with the answer: on every face, before anybody is
// asked, and without a byte of the body or a 100 Continue.
func TestLimitsOfHeads(t *testing.T) {
	g := newGateway(t, answering(t, ok("")), trusting, limiting(proxy.Limits{Head: 8 << 10, Headers: 20, URI: 300}))
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat("X-A: b\r\n", n), "\r\n") }
	f := func(limit proxy.Limit, status int, reason policy.Reason, request string) {
		t.Helper()
		asked, limited := len(g.sessions.questions()), len(g.observer.limits())
		c := g.dial()
		_, _ = io.WriteString(c, request)
		method, _, _ := strings.Cut(request, " ")
		res := c.next(method)
		if limit == 0 {
			if res.StatusCode != status || len(g.observer.limits()) != limited {
				t.Errorf("status %d, want %d; limits %v", res.StatusCode, status, g.observer.limits())
			}
			return
		}
		if res.StatusCode != status || !res.Close || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("status %d, want %d; head %v", res.StatusCode, status, res.Header)
		}
		c.nothing()
		if got := g.observer.limits(); len(got) != limited+1 || got[limited] != limit {
			t.Errorf("limits %v, want another %v", got, limit)
		}
		if got := g.observer.last(); got.Verdict != policy.Limited || got.Reason != reason {
			t.Errorf("observed %v, want %v", got, reason)
		}
		if n := len(g.sessions.questions()); n != asked {
			t.Error("a session was asked for")
		}
	}
	long := strings.Repeat("a", 300)
	for _, path := range []string{"/public/x", "/x", "/sessions/whoami", "/.gatehouse/auth"} {
		for _, lines := range [][]string{{alice}, {alice, expects, "Content-Length: 5"}, {alice, "Transfer-Encoding: chunked"}} {
			f(proxy.URILimit, 414, policy.URITooLong, request("POST", path+"?"+long, "", lines...))
			f(proxy.HeadersLimit, 431, policy.TooManyHeaders, request("POST", path, "", append(lines, many(20))...))
			f(proxy.HeadLimit, 431, policy.HeadTooLarge, request("POST", path, "", append(lines, "X-A: "+strings.Repeat("a", 8<<10))...))
		}
	}
	f(proxy.URILimit, 414, policy.URITooLong, request("GET", authPath, "", about("GET", "/public/"+long)...))

	f(0, 200, "", request("GET", "/public/"+long[:300-len("/public/")], ""))
	f(proxy.URILimit, 414, policy.URITooLong, request("GET", "/public/"+long[:301-len("/public/")], ""))
	f(0, 200, "", request("GET", "/public/x", "", many(19)))
	f(proxy.HeadersLimit, 431, policy.TooManyHeaders, request("GET", "/public/x", "", many(20)))
}

// A body that is announced to be too long is refused before it is asked for, waited for or read.
func TestBodiesThatAreAnnouncedTooLong(t *testing.T) {
	app, uploads := taking(t)
	g := newGateway(t, app, smallBodies)
	f := func(path string, length, status int, lines ...string) {
		t.Helper()
		limited := len(g.observer.limits())
		c := g.dial()
		c.send(request("POST", path, "", append(lines, fmt.Sprint("Content-Length: ", length))...)) // and nothing of it
		res := c.next("POST")
		if res.StatusCode != status || !res.Close {
			t.Errorf("%s: status %d, want %d; close %v", path, res.StatusCode, status, res.Close)
		}
		c.nothing()
		if status == 413 {
			if got := g.observer.limits(); len(got) != limited+1 || got[limited] != proxy.BodyLimit {
				t.Errorf("limits %v", got)
			}
			if got := g.observer.last(); got.Verdict != policy.Limited || got.Reason != policy.BodyTooLarge {
				t.Errorf("observed %v", got)
			}
		}
	}
	for _, lines := range [][]string{nil, {expects}} {
		f("/public/small/x", 101, 413, lines...)
		f("/public/small/x", int(min(int64(math.MaxInt)/4, 1<<40)), 413, lines...)
		f("/small/x", 101, 413, append(lines, alice)...)
		f("/small/x", 101, 401, lines...) // who may not pass at all learns nothing of the limit
	}
	for _, path := range []string{"/public/small/x", "/public/x"} {
		if res := g.ask(request("POST", path, strings.Repeat("x", 100))); res.StatusCode != 200 {
			t.Errorf("status %d", res.StatusCode)
		}
		receive(t, uploads)
	}
	if n := len(app.heads()); n != 2 {
		t.Errorf("the application was sent %d requests", n)
	}
}

// A body in chunks is cut off where it becomes too long: the application sees an aborted request, and the client the reason, if no
// response had begun.
func TestChunkedBodiesThatBecomeTooLong(t *testing.T) {
	app, uploads := taking(t)
	g := newGateway(t, app, smallBodies)
	f := func(chunk, chunks, status int) {
		t.Helper()
		c := g.dial()
		c.send(request("POST", "/public/small/x", "", "Transfer-Encoding: chunked"))
		for range chunks {
			_, _ = io.WriteString(c, fmt.Sprintf("%x\r\n%s\r\n", chunk, strings.Repeat("x", chunk)))
		}
		_, _ = io.WriteString(c, "0\r\n\r\n")
		res := c.next("POST")
		u := receive(t, uploads)
		if res.StatusCode != status || (u.err == nil) != (status == 200) || len(u.body) > 100 {
			t.Errorf("%d times %d: status %d, the application saw %d bytes and %v", chunks, chunk, res.StatusCode, len(u.body), u.err)
		}
		if status != 200 {
			c.nothing()
		}
	}
	f(100, 1, 200)
	f(10, 10, 200)
	f(101, 1, 413)
	f(10, 11, 413)
	f(1000, 1000, 413)
	if got := g.observer.limits(); !slices.Equal(got, []proxy.Limit{proxy.BodyLimit, proxy.BodyLimit, proxy.BodyLimit}) {
		t.Errorf("limits %v", got)
	}
	if want := (observation{proxy.ProxyFace, policy.Limited, policy.BodyTooLarge}); g.observer.last() != want {
		t.Errorf("observed %v", g.observer.last())
	}
}

// Where the response has begun before the body became too long, both sides see the exchange broken off.
func TestBodyThatBecomesTooLongDuringTheResponse(t *testing.T) {
	aborted := make(chan error, 1)
	app := newApp(t, func(c *appConn) {
		c.head()
		c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n")
		_, err := io.Copy(io.Discard, c.r)
		aborted <- err
	})
	g := newGateway(t, app, smallBodies)
	c := g.dial()
	c.send(request("POST", "/public/small/x", "", "Transfer-Encoding: chunked") + "5\r\nhello\r\n")
	got := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(c.r, got); err != nil || string(got) != "HTTP/1.1 200" {
		t.Fatalf("%q, %v", got, err)
	}
	c.send("ff\r\n" + strings.Repeat("x", 0xff) + "\r\n")
	receive(t, aborted)
	if rest := c.rest(); strings.Contains(rest, "HTTP/1.1") || strings.HasSuffix(rest, "0\r\n\r\n") {
		t.Errorf("%q", rest)
	}
}

// Whoever stalls or trickles within a body is told so, and not that the body was broken.
func TestSlowUploads(t *testing.T) {
	f := func(name string, limits proxy.Limits, limit proxy.Limit, reason policy.Reason, head string, piece func(i int) string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			app, uploads := taking(t)
			g := newGateway(t, app, limiting(limits))
			c := g.dial()
			c.send(request("POST", "/public/x", "", head))
			stop, sent := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(sent)
				tick := time.NewTicker(10 * time.Millisecond)
				defer tick.Stop()
				for i := 0; ; i++ {
					if _, err := io.WriteString(c, piece(i)); err != nil {
						return
					}
					select {
					case <-tick.C:
					case <-stop:
						return
					}
				}
			}()
			res := c.next("POST")
			close(stop)
			<-sent
			if res.StatusCode != 408 || !res.Close {
				t.Errorf("status %d close %v", res.StatusCode, res.Close)
			}
			if got := g.observer.limits(); !slices.Equal(got, []proxy.Limit{limit}) {
				t.Errorf("limits %v, want %v", got, limit)
			}
			if want := (observation{proxy.ProxyFace, policy.Limited, reason}); g.observer.last() != want {
				t.Errorf("observed %v, want %v", g.observer.last(), want)
			}
			app.stop()
			select {
			case u := <-uploads:
				if u.err == nil {
					t.Errorf("the application saw a complete request with %q", u.body)
				}
			default: // it saw none
			}
		})
	}
	once := func(s string) func(int) string {
		return func(i int) string {
			if i == 0 {
				return s
			}
			return ""
		}
	}
	const chunked = "Transfer-Encoding: chunked"
	stall := proxy.Limits{BodyTimeout: 100 * time.Millisecond}
	f("small stalls", stall, proxy.BodyTimeLimit, policy.BodyTimeout, "Content-Length: 100", once("hello"))
	f("large stalls", stall, proxy.BodyTimeLimit, policy.BodyTimeout, "Content-Length: 100000", once("hello"))
	f("chunked stalls", stall, proxy.BodyTimeLimit, policy.BodyTimeout, chunked, once("5\r\nhello\r\n"))
	trickle := proxy.Limits{BodyTimeout: 200 * time.Millisecond, MinRate: 1 << 20}
	always := func(s string) func(int) string { return func(int) string { return s } }
	f("small trickles", trickle, proxy.RateLimit, policy.TooSlow, "Content-Length: 10000", always("x"))
	f("large trickles", trickle, proxy.RateLimit, policy.TooSlow, "Content-Length: 100000", always("x"))
	f("chunked trickles", trickle, proxy.RateLimit, policy.TooSlow, chunked, always("1\r\nx\r\n"))
}

// The whole head has one time, however it trickles, and so has the first byte of a body that is wanted.
func TestSlowHeads(t *testing.T) {
	f := func(sent string) {
		t.Helper()
		g := newGateway(t, answering(t, ok("")), limiting(proxy.Limits{HeadTimeout: 100 * time.Millisecond}))
		c := g.dial()
		c.send(sent)
		if res := c.next("POST"); res.StatusCode != 408 || !res.Close || !strings.Contains(res.body, `"status":408`) {
			t.Errorf("%q: status %d body %q", sent, res.StatusCode, res.body)
		}
		if got := g.observer.limits(); !slices.Equal(got, []proxy.Limit{proxy.HeadTimeLimit}) {
			t.Errorf("%q: limits %v", sent, got)
		}
		if want := (observation{proxy.ProxyFace, policy.Limited, policy.HeadTimeout}); g.observer.last() != want {
			t.Errorf("%q: observed %v", sent, g.observer.last())
		}
	}
	f("GET /public/x HTTP/1.1\r\nHost: app.example.com\r\nX-A: ")
	f(request("POST", "/public/x", "", "Content-Length: 5"))
}

// A response is cut off when its client does not read it, and not when the application has nothing to say.
func TestSlowDownloads(t *testing.T) {
	ended := make(chan error, 1)
	app := newApp(t, func(c *appConn) {
		c.head()
		c.write("HTTP/1.1 200 OK\r\n\r\n")
		for {
			if _, err := io.WriteString(c, strings.Repeat("x", 64<<10)); err != nil {
				ended <- err
				return
			}
		}
	})
	g := newGateway(t, app, limiting(proxy.Limits{BodyTimeout: 100 * time.Millisecond}))
	c := g.dial()
	c.send(request("GET", "/public/x", ""))
	receive(t, ended) // although nothing was read
	if got := g.observer.limits(); len(got) != 1 || got[0] != proxy.BodyTimeLimit && got[0] != proxy.RateLimit {
		t.Errorf("limits %v", got)
	}
	if rest, err := io.ReadAll(c); err == nil && strings.HasSuffix(string(rest), "0\r\n\r\n") {
		t.Error("the response looks complete")
	}
}

func TestQuietApplicationIsNoSlowClient(t *testing.T) {
	app := newApp(t, func(c *appConn) {
		c.head()
		c.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
		for range 5 {
			c.write("data: x\n\n")
			<-time.After(60 * time.Millisecond) // real time: sockets know no other
		}
	})
	g := newGateway(t, app, limiting(proxy.Limits{BodyTimeout: 50 * time.Millisecond, MinRate: 1 << 20}))
	res := g.get("/public/x")
	if res.body != strings.Repeat("data: x\n\n", 5) || res.err != nil || len(g.observer.limits()) != 0 {
		t.Errorf("body %q, error %v, limits %v", res.body, res.err, g.observer.limits())
	}
}

// Every limit has a name, and every reason that is one belongs to one limit.
func TestLimitsHaveNames(t *testing.T) {
	seen := map[string]bool{"none": true}
	for _, l := range proxy.AllLimits() {
		if seen[l.String()] {
			t.Errorf("limit %d is called %s", l, l)
		}
		seen[l.String()] = true
	}
	if proxy.Limit(0).String() != "none" || proxy.Limit(200).String() != "none" {
		t.Error("what is no limit has a name")
	}
}
