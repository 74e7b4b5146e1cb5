package httpclient_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

// TestMain lets the system trust the servers of httptest, so that questions can be asked over TLS.
func TestMain(m *testing.M) {
	server := httptest.NewTLSServer(nil)
	dir, err := os.MkdirTemp("", "httpclient")
	if err != nil {
		panic(err)
	}
	file := filepath.Join(dir, "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := errors.Join(os.WriteFile(file, text, 0o600), os.Setenv("SSL_CERT_FILE", file)); err != nil {
		panic(err)
	}
	server.Close()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// A line is a service that a test speaks for, byte by byte.
type line struct {
	net.Conn
	number int // of the connection, from 1
	in     *bufio.Reader
}

// hear reads one question and returns its request line and body.
func (l *line) hear() string {
	req, err := http.ReadRequest(l.in)
	if err != nil {
		return ""
	}
	body, _ := io.ReadAll(req.Body)
	return req.Method + " " + req.RequestURI + " " + string(body)
}

func (l *line) say(text string) { _, _ = io.WriteString(l, text) }

// sayAtOnce says several things that reach the client together, over TLS in a record each.
func (l *line) sayAtOnce(texts ...string) {
	secured, ok := l.Conn.(*tls.Conn)
	if !ok {
		l.say(strings.Join(texts, ""))
		return
	}
	socket := secured.NetConn().(*corked)
	socket.held = []byte{}
	for _, text := range texts {
		l.say(text)
	}
	_, _ = socket.Conn.Write(socket.held)
}

// A corked connection holds back what is written to it while held is not nil.
type corked struct {
	net.Conn
	held []byte
}

func (c *corked) Write(p []byte) (int, error) {
	if c.held == nil {
		return c.Conn.Write(p)
	}
	c.held = append(c.held, p...)
	return len(p), nil
}

type corkedListener struct{ net.Listener }

func (l corkedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &corked{Conn: c}, err
}

const (
	first  = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
	second = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"
)

// newLine returns a client of a service that does as speak says on each connection, and then closes it.
func newLine(t *testing.T, secure bool, speak func(*line)) *httpclient.Client {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := &url.URL{Scheme: "http", Host: ln.Addr().String()}
	if secure {
		h := httptest.NewTLSServer(nil) // for its certificate
		h.Close()
		base.Scheme, ln = "https", tls.NewListener(corkedListener{ln}, h.TLS)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for n := 1; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				speak(&line{c, n, bufio.NewReader(c)})
			})
		}
	})
	client, err := httpclient.New(httpclient.Config{URL: base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		_ = ln.Close()
		running.Wait()
	})
	return client
}

// wantSaid asks and compares what is answered.
func wantSaid(t *testing.T, c *httpclient.Client, method, want string) {
	t.Helper()
	q := httpclient.Question{Method: method, URL: c.URL("/x")}
	if method == http.MethodPost {
		q.Body = []byte("body")
	}
	if r, err := c.Ask(t.Context(), q); err != nil || string(r.Body) != want {
		t.Errorf("%s is answered with %q (%v, %v), want %q", method, r.Body, r.BodyErr, err, want)
	}
}

// TestClosedConnection holds that a connection which the service has closed while it was idle costs no question its answer, and that none
// is sent over it.
func TestClosedConnection(t *testing.T) {
	f := func(method string, secure bool) {
		t.Helper()
		closed := make(chan struct{})
		c := newLine(t, secure, func(l *line) {
			l.hear()
			if l.number > 1 {
				l.say(second)
				l.hear()
				return
			}
			l.say(first)
			_ = l.Close()
			close(closed)
		})
		wantSaid(t, c, http.MethodGet, "first")
		<-closed
		wantSaid(t, c, method, "second")
	}
	for _, secure := range []bool{false, true} {
		f(http.MethodGet, secure)
		f(http.MethodPost, secure)
	}
}

// TestUnaskedBytes holds that what comes behind an answer is never the answer to the next question, which may be somebody else's.
// https://www.cve.org/CVERecord?id=CVE-2026-71324
func TestUnaskedBytes(t *testing.T) {
	f := func(secure, later bool) {
		t.Helper()
		told := make(chan struct{})
		read := make(chan struct{})
		c := newLine(t, secure, func(l *line) {
			l.hear()
			switch {
			case l.number > 1:
				l.say(second)
			case later:
				l.say(first)
				<-read
				l.say(strings.ReplaceAll(first, "first", "wrong"))
				close(told)
			default:
				l.sayAtOnce(first, strings.ReplaceAll(first, "first", "wrong"))
				close(told)
			}
			l.hear()
		})
		wantSaid(t, c, http.MethodGet, "first")
		close(read)
		<-told
		wantSaid(t, c, http.MethodGet, "second")
	}
	for _, secure := range []bool{false, true} {
		f(secure, false)
		f(secure, true)
	}
}

// TestConnectionIsKeptOverTLS holds that one handshake does for many questions.
func TestConnectionIsKeptOverTLS(t *testing.T) {
	var connections atomic.Int32
	c := newLine(t, true, func(l *line) {
		connections.Add(1)
		for l.hear() != "" {
			l.say(first)
		}
	})
	for range 5 {
		wantSaid(t, c, http.MethodGet, "first")
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("five questions took %d connections", n)
	}
}

// TestHalfARecord holds that what has come in part of an answer that nobody asked for is not waited for, and taken for the next answer.
func TestHalfARecord(t *testing.T) {
	c := newLine(t, true, func(l *line) {
		if l.hear(); l.number > 1 {
			l.say(second)
			return
		}
		socket := l.Conn.(*tls.Conn).NetConn().(*corked)
		socket.held = []byte{}
		l.say(first)
		l.say("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nunasked")
		most := len(socket.held) - 10
		_, _ = socket.Conn.Write(socket.held[:most])
		l.hear()
		_, _ = socket.Conn.Write(socket.held[most:])
	})
	wantSaid(t, c, http.MethodGet, "first")
	wantSaid(t, c, http.MethodGet, "second")
}

// TestHalfAnAnswerIsNotAskedAgain holds that a question is not repeated once anything of its answer has come.
func TestHalfAnAnswerIsNotAskedAgain(t *testing.T) {
	var asked atomic.Int32
	c := newLine(t, false, func(l *line) {
		l.hear()
		l.say(first)
		l.hear()
		asked.Add(1)
		l.say("HTTP/1.1 2")
	})
	wantSaid(t, c, http.MethodGet, "first")
	_, err := c.Ask(t.Context(), httpclient.Question{URL: c.URL("/x")})
	if err == nil || upstream.Definite(err) || errors.Is(err, upstream.ErrNotSent) || asked.Load() != 1 {
		t.Errorf("%v after %d questions, want an outage after one", err, asked.Load())
	}
}

// TestInformational holds that answers before the answer are passed over, and that there is an end to them.
func TestInformational(t *testing.T) {
	const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
	c := newLine(t, false, func(l *line) {
		for l.hear() != "" {
			l.say("HTTP/1.1 100 Continue\r\n\r\n" + hints + second)
		}
	})
	wantSaid(t, c, http.MethodGet, "second")
	wantSaid(t, c, http.MethodGet, "second")

	c = newLine(t, false, func(l *line) {
		l.hear()
		for {
			if _, err := io.WriteString(l, hints); err != nil {
				return
			}
		}
	})
	if r, err := c.Ask(t.Context(), httpclient.Question{URL: c.URL("/x")}); err == nil || upstream.Definite(err) {
		t.Errorf("hints without end are answered with %d, %v, want an outage", r.Status, err)
	}
}

// TestAbandonedDial holds that a dial which took too long for its question serves the next one.
func TestAbandonedDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		c, err := httpclient.New(httpclient.Config{
			URL: &url.URL{Scheme: "http", Host: "service.test"}, MaxConns: 1,
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				dials++
				select {
				case <-time.After(2 * time.Second):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				client, server := net.Pipe()
				go func() {
					l := &line{server, 1, bufio.NewReader(server)}
					for l.hear() != "" {
						l.say(first)
					}
				}()
				return client, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err = c.Ask(ctx, httpclient.Question{URL: c.URL("/x")})
		if !errors.Is(err, upstream.ErrNotSent) || !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v, want ErrNotSent when time is up", err, time.Since(began))
		}
		wantSaid(t, c, http.MethodGet, "first")
		if dials != 1 {
			t.Errorf("dialled %d times, want once", dials)
		}
	})
}

// TestNothingIsKeptOfACredential holds that the memory in which a question was written holds it no longer.
func TestNothingIsKeptOfACredential(t *testing.T) {
	var written []byte
	c, err := httpclient.New(httpclient.Config{
		URL: &url.URL{Scheme: "http", Host: "service.test"},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				l := &line{server, 1, bufio.NewReader(server)}
				for l.hear() != "" {
					l.say(first)
				}
			}()
			return listening{client, &written}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	proof := httpclient.Proof{Header: "X-Session-Token", Value: "secret"}
	if _, err := c.Ask(t.Context(), httpclient.Question{URL: c.URL("/x"), Proof: proof}); err != nil {
		t.Fatal(err)
	}
	if len(written) == 0 || strings.Contains(string(written), "secret") {
		t.Errorf("the question is still in memory: %q", written)
	}
}

// listening keeps what it is given to write, which nobody else may.
type listening struct {
	net.Conn
	last *[]byte
}

func (c listening) Write(p []byte) (int, error) {
	*c.last = p
	return c.Conn.Write(p)
}

// TestLateEnd holds that a connection is not used again when the time of a question was up as its answer came: whoever interrupts it may do so
// at any time from then on.
func TestLateEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dials := 0
	c, err := httpclient.New(httpclient.Config{
		URL: &url.URL{Scheme: "http", Host: "service.test"},
		Dial: func(context.Context, string, string) (net.Conn, error) {
			dials++
			return ready{strings.NewReader(first + first), cancel}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, ctx := range []context.Context{ctx, t.Context()} {
		if _, err := c.Ask(ctx, httpclient.Question{URL: c.URL("/x")}); err != nil {
			t.Fatal(err)
		}
	}
	if dials != 2 {
		t.Errorf("two questions took %d connections, want one each", dials)
	}
}

// A ready connection has its answers in memory, each in one piece, and calls back when it is read.
type ready struct {
	answers *strings.Reader
	called  func()
}

func (c ready) Read(p []byte) (int, error) {
	c.called()
	return c.answers.Read(p[:min(len(p), len(first))])
}

func (ready) Write(p []byte) (int, error)      { return len(p), nil }
func (ready) Close() error                     { return nil }
func (ready) LocalAddr() net.Addr              { return &net.UnixAddr{Net: "pipe"} }
func (ready) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (ready) SetDeadline(time.Time) error      { return nil }
func (ready) SetReadDeadline(time.Time) error  { return nil }
func (ready) SetWriteDeadline(time.Time) error { return nil }
