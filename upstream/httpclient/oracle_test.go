package httpclient_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-proxy/gatehouse/upstream/httpclient"
)

// An asker is a client, or what it is compared with.
type asker func(httpclient.Question) outcome

// An outcome is what a question has brought.
type outcome struct {
	Failed, BodyFailed bool
	Status             int
	Header             http.Header
	Body               string
}

// A service speaks bytes: to each question of a connection the same ones, after which it may close it.
type service struct {
	answer string
	first  int // how many of the bytes come before the others; 0 is all
	ends   bool

	mu          sync.Mutex
	connections int
	asked       []string
	running     sync.WaitGroup
}

func (s *service) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connections++
	s.running.Go(func() {
		defer far.Close()
		var all bytes.Buffer
		for r := bufio.NewReader(io.TeeReader(far, &all)); ; all.Reset() {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			s.mu.Lock()
			s.asked = append(s.asked, all.String())
			s.mu.Unlock()
			for _, piece := range []string{s.answer[:s.first], s.answer[s.first:]} {
				if piece == "" { // which would be read, too
					continue
				}
				if _, err := io.WriteString(far, piece); err != nil {
					return
				}
			}
			if s.ends {
				return
			}
		}
	})
	return near, nil
}

// own returns a client of s.
func (s *service) own(t *testing.T) asker {
	c, err := httpclient.New(httpclient.Config{URL: &url.URL{Scheme: "http", Host: "service.test"}, Dial: s.dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.running.Wait()
	})
	return func(q httpclient.Question) outcome {
		r, err := c.Ask(t.Context(), q)
		if err != nil {
			return outcome{Failed: true}
		}
		return outcome{Status: r.Status, Header: r.Header, Body: string(r.Body), BodyFailed: r.BodyErr != nil}
	}
}

// oracle returns http.Transport before s.
func (s *service) oracle(t *testing.T) asker {
	transport := &http.Transport{DialContext: s.dial, DisableCompression: true, MaxResponseHeaderBytes: 32 << 10}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.running.Wait()
	})
	return func(q httpclient.Question) outcome {
		req, err := http.NewRequestWithContext(t.Context(), q.Method, q.URL.String(), bytes.NewReader(q.Body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = q.Header.Clone()
		if req.Header == nil {
			req.Header = http.Header{}
		}
		req.Header.Set("User-Agent", "gatehouse")
		if q.Proof.Header != "" {
			req.Header.Set(q.Proof.Header, q.Proof.Value)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return outcome{Failed: true}
		}
		defer resp.Body.Close()
		o := outcome{Status: resp.StatusCode, Header: resp.Header}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			o.BodyFailed = true
			return o
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10+1))
		if o.BodyFailed = err != nil || len(body) > 64<<10; !o.BodyFailed {
			o.Body = string(body)
		}
		return o
	}
}

var target = &url.URL{Scheme: "http", Host: "service.test", Path: "/a b", RawQuery: "c=d"}

// TestAnswersAreReadAsNetHTTPDoes compares with http.Transport what comes of whatever a service may say, and over how many connections.
func TestAnswersAreReadAsNetHTTPDoes(t *testing.T) {
	quietLog(t)
	f := func(answer string, ends bool, methods ...string) {
		t.Helper()
		for _, method := range methods {
			got, want := &service{answer: answer, ends: ends}, &service{answer: answer, ends: ends}
			q := httpclient.Question{Method: method, URL: target}
			own, oracle := got.own(t), want.oracle(t)
			for range 3 {
				if d := cmp.Diff(oracle(q), own(q)); d != "" {
					t.Errorf("%s answered with %.200q (-net/http +own):\n%s", method, answer, d)
				}
			}
			if got.connections != want.connections {
				t.Errorf("%s answered with %.200q takes %d connections, and %d with net/http", method, answer, got.connections, want.connections)
			}
		}
	}
	const ok = "HTTP/1.1 200 OK\r\n"
	body := func(n int) string { return strings.Repeat("x", n) }
	// What leaves the connection in order, or says that it does not.
	for _, answer := range []string{
		first,
		ok + "Content-Length: 0\r\n\r\n",
		ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nfirst",
		ok + "content-length:5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nX: \r\n\r\nfirst",
		ok + "Content-Length: 65536\r\n\r\n" + body(64<<10),
		ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nfir\r\n2;a=b\r\nst\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nfirst\r\n0\r\nX: y\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\n\r\n10000\r\n" + body(64<<10) + "\r\n0\r\n\r\n",
		ok + "SET-COOKIE: a\r\nContent-Type:  a/b; c=d  \r\nset-cookie: b\r\nx-1.y: \r\nSet-Cookie:c\r\nContent-Length:5\r\n\r\nfirst",
		ok + "Content-Length: \t5\t\r\nX: a\tb\r\nY: \u00eb\r\n\r\nfirst",
		ok + "Content-Length: 005\r\nPragma: no-cache\r\n\r\nfirst",
		ok + "Content-Length: 5\r\nTrailer: X\r\n\r\nfirst",
		ok + "Content-Length: 5\r\nX: a\n\r\nfirst",
		ok + "Content-Length: 5\r\nX: a\nY: b\r\n\r\nfirst",
		ok + "Content-Length: 5\r\nX: " + body(5000) + "\r\n\r\nfirst",
		ok + "Connection: close\r\nContent-Length: 5\r\n\r\nfirst",
		ok + "Connection: Keep-Alive, CLOSE\r\nContent-Length: 5\r\n\r\nfirst",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 500\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 999 Odd\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 099 Odd\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nfirst",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nfirst",
		"HTTP/1.1 100 Continue\r\n\r\n" + first,
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + first,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
		"HTTP/1.1 200 OK\nContent-Length: 5\n\nfirst",
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nfirst",
		"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nfirst",
		"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	} {
		f(answer, false, "", http.MethodPost)
	}
	for _, answer := range []string{
		ok + "Content-Length: 5\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\n\r\n",
		ok + "\r\n",
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
	} {
		f(answer, false, http.MethodHead)
	}
	// What cannot be read, or ends with the connection.
	for _, answer := range []string{
		"",
		"HTTP/1.1 2",
		ok + "Content-Length: 5\r\n",
		ok + "\r\nfirst",
		ok + "Content-Length: 9\r\n\r\nfirst",
		ok + "Content-Length: 65537\r\n\r\n" + body(64<<10+1),
		ok + "Transfer-Encoding: chunked\r\n\r\n10001\r\n" + body(64<<10+1) + "\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nfir",
		ok + "Transfer-Encoding: chunked\r\n\r\nz\r\nfirst\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nfirst\r\n0\r\n\r\n",
		ok + "transfer-encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nfirst\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		ok + "Transfer-Encoding: identity\r\n\r\nfirst",
		ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nfirst",
		ok + "Content-Length: 5, 5\r\n\r\nfirst",
		ok + "Content-Length: +5\r\n\r\nfirst",
		ok + "Content-Length: \r\n\r\nfirst",
		ok + "Content-Length: 5\r\nX: a\rb\r\n\r\nfirst",
		ok + "Content-Length: 5\r\n: a\r\n\r\nfirst",
		ok + "Content-Length: -5\r\n\r\nfirst",
		ok + "Content-Length: 99999999999999999999\r\n\r\nfirst",
		ok + "X : y\r\nContent-Length: 5\r\n\r\nfirst",
		ok + "X: \x00\r\nContent-Length: 5\r\n\r\nfirst",
		ok + "no header\r\n\r\n",
		ok + "X: " + body(64<<10) + "\r\n\r\n",
		strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 2000) + first,
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 -20 OK\r\n\r\n",
		"HTTP/x.1 200 OK\r\n\r\n",
		"SSH-2.0-OpenSSH_9.9\r\n",
	} {
		f(answer, true, http.MethodPost)
	}
}

// TestQuestionsAreWrittenAsNetHTTPDoes compares with http.Transport what is sent; the order of lines does not count.
func TestQuestionsAreWrittenAsNetHTTPDoes(t *testing.T) {
	f := func(q httpclient.Question) {
		t.Helper()
		q.URL = target
		got, want := &service{answer: first}, &service{answer: first}
		got.own(t)(q)
		want.oracle(t)(q)
		if d := cmp.Diff(sorted(want.asked), sorted(got.asked)); d != "" {
			t.Errorf("%+v (-net/http +own):\n%s", q, d)
		}
	}
	for _, method := range []string{"", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"} {
		f(httpclient.Question{Method: method})
		f(httpclient.Question{Method: method, Body: []byte("first\r\nsecond")})
	}
	f(httpclient.Question{Proof: httpclient.Proof{Header: "Cookie", Value: "a=b; c=d"}, Header: http.Header{"Accept": {"a", "b"}, "X-Key": {""}}})
	f(httpclient.Question{Proof: httpclient.Proof{Header: "X-Key", Value: "proof"}, Header: http.Header{"X-Key": {"other"}}})
}

// sorted returns the lines of requests, those after the first in their order in the alphabet.
func sorted(requests []string) (all [][]string) {
	for _, r := range requests {
		lines := strings.Split(r, "\r\n")
		slices.Sort(lines[1:])
		all = append(all, lines)
	}
	return all
}

// FuzzAnswer compares with http.Transport what comes of any bytes.
func FuzzAnswer(f *testing.F) {
	for _, answer := range []string{
		first, "HTTP/1.1 100 Continue\r\n\r\n" + second, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a\r\nfirst\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.0 200 OK\n\nfirst", "HTTP/1.1 204 \r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: a\r\nContent-Length: 5\r\nset-cookie: b\r\n\r\nfirst",
	} {
		f.Add(answer, uint16(0), false)
		f.Add(answer, uint16(0), true)
		for cut := range answer {
			f.Add(answer, uint16(cut), false)
		}
	}
	f.Fuzz(func(t *testing.T, answer string, cut uint16, head bool) {
		quietLog(t)
		q := httpclient.Question{URL: target}
		if head {
			q.Method = http.MethodHead
		}
		got := &service{answer: answer, first: min(int(cut), len(answer)), ends: true}
		want := &service{answer: answer, ends: true}
		if d := cmp.Diff(want.oracle(t)(q), got.own(t)(q)); d != "" {
			t.Errorf("%q, cut at %d (-net/http +own):\n%s", answer, cut, d)
		}
	})
}

// quietLog keeps what net/http says of unasked bytes out of the log.
func quietLog(t *testing.T) {
	log.SetOutput(io.Discard)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
}
