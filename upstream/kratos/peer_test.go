package kratos_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
	"github.com/gatehouse-proxy/gatehouse/upstream/kratos"
)

func TestMain(m *testing.M) {
	// No test would reach its service if the client took note of these. net/http reads them once.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		if err := os.Setenv(name, "http://proxy.invalid:1"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

const cookieName = "ory_kratos_session"

// A peer stands where Kratos would, and answers with whatever bytes a test wants. It uses no socket.
type peer struct {
	answer func(net.Conn)

	mu       sync.Mutex
	requests []string
	dials    int
	open     atomic.Int32 // connections
	wg       sync.WaitGroup
}

// newPeer returns a peer that answers every question with answer, and a client of it. Both end with the test.
func newPeer(t *testing.T, answer func(net.Conn)) (*peer, *kratos.Client) {
	t.Helper()
	p := &peer{answer: answer}
	c := newClient(t, kratos.Config{HTTP: httpclient.Config{URL: parseURL(t, "http://127.0.0.1:4433"), Dial: p.dial}, Cookie: cookieName})
	t.Cleanup(func() {
		c.Close()
		p.wg.Wait()
	})
	return p, c
}

func newClient(t *testing.T, cfg kratos.Config) *kratos.Client {
	t.Helper()
	c, err := kratos.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func parseURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (p *peer) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials++
	p.wg.Go(func() { p.serve(server) })
	return client, nil
}

// serve answers the questions that come over one connection, until one side closes it.
func (p *peer) serve(conn net.Conn) {
	p.open.Add(1)
	defer p.open.Add(-1)
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		var request strings.Builder
		for !strings.HasSuffix(request.String(), "\r\n\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			request.WriteString(line)
		}
		p.mu.Lock()
		p.requests = append(p.requests, request.String())
		p.mu.Unlock()
		p.answer(conn)
	}
}

// asked returns the requests that came so far, byte for byte.
func (p *peer) asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// question returns a request as the client should write it, which ends with lines.
func question(target string, lines ...string) string {
	s := "GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1:4433\r\nUser-Agent: gatehouse\r\n"
	for _, line := range lines {
		s += line + "\r\n"
	}
	return s + "\r\n"
}

// say returns an answer of these bytes.
func say(raw string) func(net.Conn) {
	return func(c net.Conn) { _, _ = io.WriteString(c, raw) } // a client that does not read it has its reasons
}

// sayAndClose returns an answer of these bytes, after which the connection is closed.
func sayAndClose(raw string) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = io.WriteString(c, raw)
		_ = c.Close()
	}
}

// response returns a response with a Content-Length, and header lines of the form "Name: value".
func response(status int, body string, lines ...string) string {
	s := fmt.Sprintf("HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\n", status, len(body))
	for _, line := range lines {
		s += line + "\r\n"
	}
	return s + "\r\n" + body
}
