package load

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var question = []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func TestRunCountsAnswers(t *testing.T) {
	f := func(name string, p Plan) {
		t.Helper()
		var asked atomic.Int64
		p.Address = serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			if r.URL.Path == "/202" {
				w.WriteHeader(http.StatusAccepted)
			}
			_, _ = io.WriteString(w, "hello")
		})
		p.Connections, p.Length = 4, 50*time.Millisecond
		result, err := Run(p)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := asked.Load() - 1; result.Answers != want || want == 0 { // the first was to learn the size
			t.Errorf("%s: %d answers were counted, %d were given", name, result.Answers, want)
		}
	}
	f("closed loop", Plan{Request: question})
	f("open loop", Plan{Request: question, Rate: 1000})
	f("open loop, spinning", Plan{Request: question, Rate: 1000, Spin: true})
	f("status 202", Plan{Request: []byte("GET /202 HTTP/1.1\r\nHost: x\r\n\r\n")})
	f("connections anew", Plan{Request: []byte(strings.Replace(string(question), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)), Anew: true})
}

func TestRunVaries(t *testing.T) {
	var asked [20]atomic.Int64
	address := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.Host)
		if err != nil || n >= len(asked) {
			t.Errorf("asked for %q", r.Host)
			return
		}
		asked[n].Add(1)
	})
	vary := func(request []byte, n int) { copy(request[len("GET / HTTP/1.1\r\nHost: "):], fmt.Sprintf("%02d", n)) }
	request := []byte("GET / HTTP/1.1\r\nHost: 00\r\n\r\n")
	result, err := Run(Plan{Address: address, Request: request, Connections: 3, Length: time.Minute, Count: len(asked), Vary: vary})
	if err != nil || result.Answers != int64(len(asked)) {
		t.Errorf("%d answers, %v, want %d", result.Answers, err, len(asked))
	}
	for n := range asked {
		want := int64(1)
		if n == 0 {
			want = 2 // to learn the size
		}
		if got := asked[n].Load(); got != want {
			t.Errorf("%d was asked for %d times, want %d", n, got, want)
		}
	}
	if string(request) != "GET / HTTP/1.1\r\nHost: 00\r\n\r\n" {
		t.Errorf("the plan's own request is %q now", request)
	}
}

// A server that answers nobody for a while makes all that are due meanwhile wait, not only those that it was asked before.
func TestStallCountsForAllThatAreDue(t *testing.T) {
	const stall = 200 * time.Millisecond
	var asked atomic.Int64
	address := serve(t, func(http.ResponseWriter, *http.Request) {
		if asked.Add(1) == 2 {
			<-time.After(stall)
		}
	})
	result, err := Run(Plan{Address: address, Request: question, Connections: 1, Length: 2 * stall, Rate: 500})
	if err != nil {
		t.Fatal(err)
	}
	late := 0
	for _, l := range result.Latencies {
		if l > stall/2 {
			late++
		}
	}
	// Of the hundred that are due while it stalls, those of its first half wait for half of it at least.
	if late < 25 {
		t.Errorf("%d of %d requests waited for more than %v", late, len(result.Latencies), stall/2)
	}
	// The load is not to blame for it: it had no other connection.
	if delay := Percentile(result.Delays, 0.9); delay > stall/4 {
		t.Errorf("the load is said to have been late by %v", delay)
	}
}

func TestRunFails(t *testing.T) {
	f := func(name, first, then string, want error) {
		t.Helper()
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			for answer := first; ; answer = then {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				buf := make([]byte, 1024)
				_, _ = c.Read(buf)
				_, _ = io.WriteString(c, answer)
				_ = c.Close()
			}
		}()
		if _, err := Run(Plan{Address: ln.Addr().String(), Request: question, Connections: 1, Length: time.Second}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	f("a first answer of 401", strings.Replace(ok, "200", "401", 1), "", ErrRefused)
	f("an answer of another 2xx", ok, strings.Replace(ok, "200", "202", 1), errStatus)
	f("an answer of 503", ok, strings.Replace(ok, "200", "503", 1), errStatus)
	f("a longer answer", ok, ok+"x", errSize)
	f("a connection that ends", ok, ok[:20], errClosed)
}

func TestArrivals(t *testing.T) {
	const rate, length = 10_000, 10 * time.Second
	n := 0
	a, same := newArrivals(rate, length, 7), newArrivals(rate, length, 7)
	for due, more := a.next(); more; due, more = a.next() {
		if other, _ := same.next(); other != due {
			t.Fatalf("arrival %d is at %v and at %v", n, due, other)
		}
		a.advance()
		same.advance()
		n++
	}
	if want := rate * length.Seconds(); math.Abs(float64(n)-want) > 5*math.Sqrt(want) {
		t.Errorf("%d requests arrive, want %.0f", n, want)
	}
}

func TestPercentile(t *testing.T) {
	f := func(p float64, want time.Duration) {
		t.Helper()
		var sorted []time.Duration
		for i := range 1000 {
			sorted = append(sorted, time.Duration(i+1))
		}
		if got := Percentile(sorted, p); got != want {
			t.Errorf("%v: %d, want %d", p, got, want)
		}
	}
	f(0.5, 500)
	f(0.99, 990)
	f(0.999, 999)
	f(1, 1000)
}
