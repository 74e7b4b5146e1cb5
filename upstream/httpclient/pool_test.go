package httpclient_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

// answering returns the other end of a connection in memory, where every question is answered with first.
func answering() net.Conn {
	client, server := net.Pipe()
	go func() {
		l := &line{server, 1, bufio.NewReader(server)}
		for l.hear() != "" {
			l.say(first)
		}
	}()
	return client
}

// newDialled returns a client that dials as dial does, and has one place.
func newDialled(t *testing.T, scheme string, dial func(context.Context) (net.Conn, error)) *httpclient.Client {
	t.Helper()
	c, err := httpclient.New(httpclient.Config{
		URL: &url.URL{Scheme: scheme, Host: "example.com"}, MaxConns: 1,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestTicketsOfAnAbandonedDial holds that a connection over TLS 1.3 that nobody has used yet is good, though the service has spoken first.
func TestTicketsOfAnAbandonedDial(t *testing.T) {
	shaken := make(chan struct{})
	var connections atomic.Int32
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewTLSServer(nil) // for its certificate
	h.Close()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			serving.Go(func() {
				socket := &tardy{Conn: nc}
				secured := tls.Server(socket, h.TLS)
				defer secured.Close()
				if secured.Handshake() != nil || secured.ConnectionState().Version != tls.VersionTLS13 {
					return
				}
				_, _ = nc.Write(socket.last) // which is a ticket
				if connections.Load() == 1 {
					close(shaken)
				}
				for l := (&line{secured, 1, bufio.NewReader(secured)}); l.hear() != ""; {
					l.say(first)
				}
			})
		}
	})
	ctx, abandon := context.WithCancel(t.Context())
	c := newDialled(t, "https", func(context.Context) (net.Conn, error) {
		abandon()
		return net.Dial("tcp", ln.Addr().String())
	})
	c.WantTickets()
	if _, err := c.Ask(ctx, httpclient.Question{URL: c.URL("/x")}); !errors.Is(err, context.Canceled) || !errors.Is(err, upstream.ErrNotSent) {
		t.Fatalf("error is %v, want that of the context", err)
	}
	<-shaken
	wantSaid(t, c, http.MethodPost, "first")
	wantSaid(t, c, http.MethodPost, "first")
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections were made, want the one that was abandoned", n)
	}
	c.Close()
	_ = ln.Close()
	serving.Wait()
}

// A tardy connection holds back the last record of TLS that is written first.
type tardy struct {
	net.Conn
	last []byte
}

func (c *tardy) Write(p []byte) (int, error) {
	if c.last != nil {
		return c.Conn.Write(p)
	}
	at := 0
	for next := 0; next < len(p); next += 5 + int(binary.BigEndian.Uint16(p[next+3:])) {
		at = next
	}
	c.last = bytes.Clone(p[at:])
	_, err := c.Conn.Write(p[:at])
	return len(p), err
}

// TestOnlySocketsAreKept holds that a connection serves one question only if nobody can tell whether it is still good.
func TestOnlySocketsAreKept(t *testing.T) {
	f := func(wrap func(net.Conn) net.Conn, want int) {
		t.Helper()
		dials := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "first") }))
		defer server.Close()
		c := newDialled(t, "http", func(context.Context) (net.Conn, error) {
			dials++
			nc, err := net.Dial("tcp", server.Listener.Addr().String())
			return wrap(nc), err
		})
		defer c.Close()
		for range 3 {
			wantSaid(t, c, http.MethodGet, "first")
		}
		if dials != want {
			t.Errorf("three questions took %d connections, want %d", dials, want)
		}
	}
	f(func(c net.Conn) net.Conn { return c }, 1)
	f(func(c net.Conn) net.Conn { return struct{ net.Conn }{c} }, 3)
	f(func(c net.Conn) net.Conn { return netConn{struct{ net.Conn }{c}, c} }, 3)
}

// A netConn tells what it is around.
type netConn struct {
	net.Conn
	within net.Conn
}

func (c netConn) NetConn() net.Conn { return c.within }

// TestRestart holds that no question fails when all connections that were kept are closed at once.
func TestRestart(t *testing.T) {
	const n = 64
	server := httptest.NewUnstartedServer(nil)
	var gate sync.WaitGroup
	gate.Add(n)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/warm" {
			gate.Done()
			gate.Wait() // so that there are n connections
		}
		_, _ = io.WriteString(w, "first")
	})
	server.Start()
	defer server.Close()
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	c, err := httpclient.New(httpclient.Config{URL: base, MaxConns: n})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all := func(path, method string) {
		var asking sync.WaitGroup
		for range n {
			asking.Go(func() {
				if r, err := c.Ask(t.Context(), httpclient.Question{Method: method, URL: c.URL(path)}); err != nil || string(r.Body) != "first" {
					t.Errorf("%s: %q, %v", path, r.Body, err)
				}
			})
		}
		asking.Wait()
	}
	all("/warm", http.MethodGet)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		server.CloseClientConnections()
		all("/after", method)
	}
}

// TestTimeoutAnswer holds that a 408 over a connection which was idle is no answer: it was said before the question came.
func TestTimeoutAnswer(t *testing.T) {
	f := func(method, want string) {
		t.Helper()
		c := newLine(t, false, func(l *line) {
			l.hear()
			if l.number > 1 {
				l.say(second)
				return
			}
			l.say(first)
			l.hear()
			l.say("HTTP/1.1 408 Request Time-out\r\nContent-Length: 3\r\nConnection: close\r\n\r\n408")
		})
		wantSaid(t, c, http.MethodGet, "first")
		wantSaid(t, c, method, want)
	}
	f(http.MethodGet, "second")
	f(http.MethodPost, "408") // which may have been about the question
}

// TestRepeatedOnce holds that no question reaches the service more than twice, whatever becomes of it there.
func TestRepeatedOnce(t *testing.T) {
	f := func(answer string, want int32) {
		t.Helper()
		const connections = 5
		var waiting sync.WaitGroup
		waiting.Add(connections)
		var asked atomic.Int32
		c := newLine(t, false, func(l *line) {
			for {
				switch l.hear() {
				case "": // it was closed
					return
				case "GET /warm ":
					waiting.Done()
					waiting.Wait()
					l.say(first)
				default:
					if asked.Add(1); answer == "" {
						return
					}
					l.say(answer)
				}
			}
		})
		var warming sync.WaitGroup
		for range connections {
			warming.Go(func() { _, _ = c.Ask(t.Context(), httpclient.Question{URL: c.URL("/warm")}) })
		}
		warming.Wait()
		_, _ = c.Ask(t.Context(), httpclient.Question{URL: c.URL("/x")})
		if n := asked.Load(); n != want {
			t.Errorf("%q: the question reached the service %d times, want %d", answer, n, want)
		}
		c.Close()
	}
	f("", 2) // it closes the connection, as where a worker dies of the question
	f("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", 1)
	f("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 2)
}

// TestPanic holds that a panic leaves the place of a connection to others.
func TestPanic(t *testing.T) {
	dials := 0
	c := newDialled(t, "http", func(context.Context) (net.Conn, error) {
		if dials++; dials == 1 {
			return fragile{answering()}, nil
		}
		return answering(), nil
	})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("there is no panic")
			}
		}()
		_, _ = c.Ask(t.Context(), httpclient.Question{URL: c.URL("/x")})
	}()
	wantSaid(t, c, http.MethodGet, "first")
}

type fragile struct{ net.Conn }

func (fragile) Write([]byte) (int, error) { panic("broken") }

// TestGoodbyeHoldsNobodyUp holds that questions go on while TLS says goodbye to a service that does not listen.
func TestGoodbyeHoldsNobodyUp(t *testing.T) {
	h := httptest.NewTLSServer(nil) // for its certificate
	h.Close()
	synctest.Test(t, func(t *testing.T) {
		c := newDialled(t, "https", func(context.Context) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				secured := tls.Server(server, h.TLS)
				l := &line{secured, 1, bufio.NewReader(secured)}
				l.hear()
				l.say(first)
				<-t.Context().Done() // and it reads no more
			}()
			return client, nil
		})
		wantSaid(t, c, http.MethodGet, "first")
		time.Sleep(time.Minute)
		synctest.Wait() // the connection is being closed
		began := time.Now()
		wantSaid(t, c, http.MethodGet, "first")
		if took := time.Since(began); took != 0 {
			t.Errorf("a question took %v", took)
		}
		time.Sleep(2 * time.Minute) // so that nothing is left
	})
}

// TestGivenUp holds that a question ends with its context, wherever it is, and leaves its place to others.
func TestGivenUp(t *testing.T) {
	f := func(what string, secure bool, serve func(net.Conn)) {
		t.Helper()
		h := httptest.NewTLSServer(nil) // for its certificate
		h.Close()
		synctest.Test(t, func(t *testing.T) {
			dials := 0
			scheme := "http"
			if secure {
				scheme = "https"
			}
			c := newDialled(t, scheme, func(context.Context) (net.Conn, error) {
				dials++
				silent := dials == 1
				client, server := net.Pipe()
				nc := server
				if secure {
					nc = tls.Server(server, h.TLS)
				}
				go func() {
					if silent {
						serve(nc)
						<-t.Context().Done()
						return
					}
					for l := (&line{nc, 1, bufio.NewReader(nc)}); l.hear() != ""; {
						l.say(first)
					}
				}()
				return client, nil
			})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			r, err := c.Ask(ctx, httpclient.Question{URL: c.URL("/x"), Proof: httpclient.Proof{Header: "X-Token", Value: "secret"}})
			if err == nil {
				err = r.BodyErr
			}
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second || strings.Contains(err.Error(), "secret") {
				t.Errorf("%s, TLS %t: %v after %v, want the end of its time", what, secure, err, time.Since(began))
			}
			wantSaid(t, c, http.MethodGet, "first")
			c.Close()
		})
	}
	for _, secure := range []bool{false, true} {
		f("write", secure, func(c net.Conn) {
			if secured, ok := c.(*tls.Conn); ok {
				_ = secured.Handshake()
			}
		})
		f("read", secure, func(c net.Conn) { (&line{c, 1, bufio.NewReader(c)}).hear() })
		f("body", secure, func(c net.Conn) {
			l := &line{c, 1, bufio.NewReader(c)}
			l.hear()
			l.say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfi")
		})
	}
}

// TestCloseInFlight holds that a question under way is answered, and its connection not kept, after the client is closed.
func TestCloseInFlight(t *testing.T) {
	asked, answer, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	c := newLine(t, false, func(l *line) {
		defer close(ended)
		l.hear()
		close(asked)
		<-answer
		l.say(first)
		l.hear()
	})
	var asking sync.WaitGroup
	asking.Go(func() { wantSaid(t, c, http.MethodGet, "first") })
	<-asked
	c.Close()
	close(answer)
	asking.Wait()
	<-ended
}

// TestUnfitQuestions holds that nothing is sent of what would be another request than it says, and that errors quote no value.
func TestUnfitQuestions(t *testing.T) {
	c := newDialled(t, "http", func(context.Context) (net.Conn, error) {
		t.Error("dialled")
		return nil, net.ErrClosed
	})
	f := func(change func(*httpclient.Question)) {
		t.Helper()
		q := httpclient.Question{URL: c.URL("/x")}
		change(&q)
		_, err := c.Ask(t.Context(), q)
		if !errors.Is(err, upstream.ErrNotSent) || upstream.Definite(err) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want an outage that was not sent", q, err)
		}
	}
	for _, method := range []string{"GET ", "G\r\nX: y", "GET /secret HTTP/1.1\r\n", "CONNECT", "Ä"} {
		f(func(q *httpclient.Question) { q.Method = method })
	}
	for _, u := range []*url.URL{
		nil,
		{Path: "/x", RawQuery: "secret b"},
		{Path: "/x", RawQuery: "secret\r\nX: y"},
		{Path: "/x", RawQuery: "secret=\xff"},
		{Opaque: "secret"},
		{Opaque: "/secret HTTP/1.1\r\nX: y"},
	} {
		f(func(q *httpclient.Question) { q.URL = u })
	}
	for _, value := range []string{"secret\r\nX: y", "secret\n", "secret\x00", "secret\t", "secret\xe4"} {
		f(func(q *httpclient.Question) { q.Header = http.Header{"X": {"a", value}} })
		f(func(q *httpclient.Question) { q.Proof = httpclient.Proof{Header: "X", Value: value} })
	}
	for _, name := range []string{"", "X Y", "X:", "X\r\nY", "Ä", "host", "User-Agent", "CONTENT-LENGTH", "Transfer-Encoding", "Trailer", "Connection", "Upgrade"} {
		f(func(q *httpclient.Question) { q.Header = http.Header{name: {"a"}} })
		if name != "" {
			f(func(q *httpclient.Question) { q.Proof = httpclient.Proof{Header: name, Value: "a"} })
		}
	}
}
