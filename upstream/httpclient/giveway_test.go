package httpclient

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

// service returns the other end of a connection in memory, where every question is answered after a while.
func service(while time.Duration) net.Conn {
	near, far := net.Pipe()
	go func() {
		r := bufio.NewReader(far)
		for {
			if _, err := http.ReadRequest(r); err != nil {
				return
			}
			time.Sleep(while)
			if _, err := far.Write([]byte(answer)); err != nil {
				return
			}
		}
	}()
	return near
}

// An answer gives way once, when it has come and not before, and if there is time for that.
func TestAnswersGiveWay(t *testing.T) {
	f := func(name string, answered, timeout time.Duration, want int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if timeout > 0 {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			c := newConn(service(answered))
			defer c.Close()
			began, gave := time.Now(), 0
			r, err := c.ask(ctx, " HTTP/1.1\r\n", &Question{URL: &url.URL{Path: "/"}}, func() {
				if gave++; time.Since(began) != answered {
					t.Errorf("%s: gives way after %v", name, time.Since(began))
				}
			})
			if err != nil || r.Status != 200 || gave != want {
				t.Errorf("%s: gives way %d times, want %d; status %d, %v", name, gave, want, r.Status, err)
			}
		})
	}
	f("no deadline", time.Hour, 0, 1)
	f("time left", time.Second, time.Second+inTime+1, 1)
	f("no time left", time.Second, time.Second+inTime, 0)
}

// There is one processor, and fifty goroutines ask a service that answers at once, without end. What the network brings goes before most of them.
func TestWhatComesGoesBeforeAnswers(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const askers = 50
	c, err := New(Config{
		URL: &url.URL{Scheme: "http", Host: "example.com"}, MaxConns: askers,
		Dial: func(context.Context, string, string) (net.Conn, error) { return service(0), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()

	var answers, served atomic.Int64
	warm := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	came := make(chan struct{})
	running.Go(func() {
		defer close(came)
		var b [1]byte
		if _, err := far.Read(b[:]); err == nil {
			served.Store(answers.Load())
		}
	})
	for range askers {
		running.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.Ask(ctx, Question{URL: c.URL("/")}); err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				if answers.Add(1) == 1000 {
					close(warm)
				}
			}
		})
	}
	<-warm
	sent := answers.Load()
	if _, err := near.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-came
	cancel()
	running.Wait()
	if late := served.Load() - sent; late > 2*askers {
		t.Errorf("served after %d answers", late)
	}
}
