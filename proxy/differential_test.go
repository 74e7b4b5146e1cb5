package proxy_test

import (
	"bufio"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/hostile"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// Of 5,000 connections full of what has deceived servers before, whatever passes is read by net/http as what the application gets, and is
// judged by the host and path by which it is served. The head for the application has one framing and lines that nobody folds.
func TestWhatPassesHasOneReading(t *testing.T) {
	const connections = 5000
	recorder, judge := &hostile.Recorder{}, &hostile.Judge{}
	app := newApp(t, func(c *appConn) {
		for {
			head, complete := c.head()
			if !complete {
				return
			}
			if !plainHead.MatchString(head) || strings.Count(head, "Content-Length:")+strings.Count(head, "Transfer-Encoding:") > 1 {
				t.Errorf("the application got %q", head)
			}
			req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(head), c.r)))
			if err != nil {
				t.Errorf("the application got %q: %v", head, err)
				return
			}
			reading, err := hostile.Read(req)
			if err != nil {
				return
			}
			recorder.Note(reading)
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	g := newGateway(t, app, func(s *setup) {
		s.Rules = []policy.Rule{{Path: "/*", Access: policy.PublicAccess}}
		s.AccessLog, s.Logger = true, slog.New(judge)
		s.App.LookEvery = patience // these clients say with their last request that they will send no more, and wait for the answers
	})
	direct := &hostile.Recorder{}
	other := serveDirectly(t, direct)

	passed, refused, doubtful := 0, 0, 0
	for seed := range uint64(connections) {
		sent := hostile.Connection(seed)
		account := func(name, addr string, seen *hostile.Recorder) hostile.Account {
			received, err := hostile.Send(addr, sent, patience)
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, name, err)
			}
			return hostile.Account{Server: name, Statuses: hostile.Statuses(received), Readings: seen.Take()}
		}
		gate, std := account("the gateway", g.addr, recorder), account("net/http", other, direct)
		if err := hostile.Check(gate, judge.Take(), std); err != nil {
			t.Errorf("seed %d: %v\nsent %.600q", seed, err, sent)
		}
		passed += len(gate.Readings)
		refused += len(gate.Statuses) - len(gate.Readings)
		if !hostile.Agree(gate, std) {
			doubtful++
		}
	}
	t.Logf("passed %d, refused %d; net/http read %d connections in another way", passed, refused, doubtful)
	if passed < connections/4 || refused < connections/4 || doubtful < connections/20 {
		t.Error("the requests do not try what they should")
	}
}

// plainHead is a head whose lines all end in CRLF and have a name at their beginning.
var plainHead = regexp.MustCompile(`\A[A-Z]+ /[^\x00-\x20#\x7f]* HTTP/1\.1\r\n([A-Za-z0-9!#$%&'*+.^_|~-]+: [^\r\n\x00]*\r\n)+\r\n\z`)

// serveDirectly starts net/http's own server and returns its address.
func serveDirectly(t *testing.T, h http.Handler) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return ln.Addr().String()
}
