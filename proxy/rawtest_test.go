package proxy_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It only bounds failures: no test passes because of it.
const patience = 20 * time.Second

// A scriptedApp is an application that does exactly what a script says, connection by connection, and records every byte that it is
// sent.
type scriptedApp struct {
	net.Listener
	t      testing.TB
	script func(*appConn)
	served sync.WaitGroup

	mu    sync.Mutex
	conns []*appConn
}

// An appConn is one connection to a scriptedApp. A script ends it by returning.
type appConn struct {
	net.Conn
	t     testing.TB
	r     *bufio.Reader
	n     int // how many connections came before
	mu    sync.Mutex
	bytes bytes.Buffer // all that was read so far
}

// newApp starts an application that runs script for every connection.
func newApp(t testing.TB, script func(*appConn)) *scriptedApp {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &scriptedApp{Listener: ln, t: t, script: script}
	a.served.Go(a.accept)
	t.Cleanup(a.stop)
	return a
}

// answering returns an application that answers every request of every connection with the next of the answers, and with the last
// again when there are no more. Bodies of requests are read first.
func answering(t testing.TB, answers ...string) *scriptedApp {
	var mu sync.Mutex
	next := 0
	return newApp(t, func(c *appConn) {
		for {
			if _, ok := c.request(); !ok {
				return
			}
			mu.Lock()
			answer := answers[min(next, len(answers)-1)]
			next++
			mu.Unlock()
			c.write(answer)
		}
	})
}

func (a *scriptedApp) accept() {
	for {
		nc, err := a.Accept()
		if err != nil {
			return
		}
		_ = nc.SetDeadline(time.Now().Add(patience))
		c := &appConn{Conn: nc, t: a.t}
		c.r = bufio.NewReader(readerFunc(c.record))
		a.mu.Lock()
		c.n = len(a.conns)
		a.conns = append(a.conns, c)
		a.mu.Unlock()
		a.served.Go(func() {
			defer func() { _ = nc.Close() }()
			a.script(c)
		})
	}
}

// stop closes everything and waits for the scripts to end.
func (a *scriptedApp) stop() {
	_ = a.Close()
	a.mu.Lock()
	for _, c := range a.conns {
		_ = c.Close()
	}
	a.mu.Unlock()
	a.served.Wait()
}

// received returns what every connection was sent so far.
func (a *scriptedApp) received() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for _, c := range a.conns {
		c.mu.Lock()
		all = append(all, c.bytes.String())
		c.mu.Unlock()
	}
	return all
}

// heads returns the heads of all requests that were received, in the order of connections.
func (a *scriptedApp) heads() []string {
	var heads []string
	for _, all := range a.received() {
		for {
			head, rest, found := strings.Cut(all, "\r\n\r\n")
			if !found {
				break
			}
			heads = append(heads, head+"\r\n\r\n")
			all = rest
		}
	}
	return heads
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (c *appConn) record(p []byte) (int, error) {
	n, err := c.Read(p)
	c.mu.Lock()
	c.bytes.Write(p[:n])
	c.mu.Unlock()
	return n, err
}

// head reads the head of a request. It reports false when there is no more.
func (c *appConn) head() (string, bool) {
	var head strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		head.WriteString(line)
		if err != nil {
			return head.String(), false
		}
		if line == "\r\n" {
			return head.String(), true
		}
	}
}

// request reads a request with its body, and returns its head. It reports false when there is no complete one.
func (c *appConn) request() (string, bool) {
	head, ok := c.head()
	if !ok {
		return head, false
	}
	_, err := c.body(head)
	return head, err == nil
}

// body reads the body that a head announces, as RFC 9112 section 6.3 has it. It fails when the body is cut off.
func (c *appConn) body(head string) (string, error) {
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), c.r)))
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

// write sends s. A gateway that has gone away is no fault of the application.
func (c *appConn) write(s string) { _, _ = io.WriteString(c, s) }

// A client speaks to a gateway byte by byte.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

// dial connects to a gateway.
func (g *gateway) dial() *client {
	g.t.Helper()
	nc, err := net.Dial(g.network, g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &client{Conn: nc, t: g.t, r: bufio.NewReader(nc)}
}

// send sends exact bytes.
func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// A response is what a client received as the answer to one request.
type response struct {
	*http.Response
	body string
	err  error // how the body ended, if not as its head announced
}

// next reads the response to a request of the method, which must be one that a strict client accepts, including its body. It passes over
// early hints.
func (c *client) next(method string) response {
	c.t.Helper()
	res := c.nextHead(method)
	for res.StatusCode == http.StatusEarlyHints {
		res = c.nextHead(method)
	}
	body, err := io.ReadAll(res.Body)
	return response{res, string(body), err}
}

// nextHead reads the head of the next response, interim or not.
func (c *client) nextHead(method string) *http.Response {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	return res
}

// nothing fails unless the gateway ends the connection without another byte.
func (c *client) nothing() {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if len(rest) > 0 {
		c.t.Fatalf("the gateway sent more than expected: %q", rest)
	}
	if err != nil {
		c.t.Fatalf("the gateway did not end the connection in peace: %v", err)
	}
}

// rest returns everything up to the end of the connection.
func (c *client) rest() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.r)
	if isTimeout(err) {
		c.t.Fatalf("the gateway left the connection open after %q", rest)
	}
	return string(rest)
}

// closeWrite tells the gateway that nothing more will be sent.
func (c *client) closeWrite() {
	c.t.Helper()
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		c.t.Fatal(err)
	}
}

// receive returns the next value from ch.
func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("what must happen did not")
		panic("unreachable")
	}
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// ask sends one request on a connection of its own and returns the answer.
func (g *gateway) ask(request string) response {
	g.t.Helper()
	c := g.dial()
	defer func() { _ = c.Close() }()
	c.send(request)
	method, _, _ := strings.Cut(request, " ")
	return c.next(method)
}

// get asks for a path with the header lines given.
func (g *gateway) get(path string, lines ...string) response {
	g.t.Helper()
	return g.ask(request("GET", path, "", lines...))
}

// request returns the bytes of a request. A body has its length announced.
func request(method, path, body string, lines ...string) string {
	var b strings.Builder
	b.WriteString(method + " " + path + " HTTP/1.1\r\nHost: app.example.com\r\n")
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	if body != "" {
		b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n")
	}
	return b.String() + "\r\n" + body
}

// ok returns the bytes of a response with a body.
func ok(body string, lines ...string) string {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n")
	for _, line := range lines {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n" + body
}

// readAll reads the body of a response.
func readAll(res *http.Response) (string, error) {
	body, err := io.ReadAll(res.Body)
	return string(body), err
}
