package proxy_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// A stopwatch keeps what it is told of the time that requests took.
type stopwatch struct {
	*observer
	decided, total atomic.Int64
}

func (s *stopwatch) Decided(f proxy.Face, d *policy.Decision, decided time.Duration) {
	s.decided.Add(int64(decided))
	s.observer.Decided(f, d, decided)
}

func (s *stopwatch) Ended(f proxy.Face, total time.Duration) {
	s.total.Add(int64(total))
	s.observer.Ended(f, total)
}

// What the application takes is not the gateway's own time, whichever way the request goes. All that is answered from memory is.
func TestWhoseTimeItIs(t *testing.T) {
	f := func(long, all bool, sent string) {
		t.Helper()
		var s *stopwatch
		g := newGateway(t, answering(t, ok("hello")), trusting, func(with *setup) {
			s = &stopwatch{observer: with.Observer.(*observer)}
			with.Observer, with.LongWay = s, long
		})
		asked, may := slowSessions(g, slowAnswer)
		go func() {
			select {
			case <-asked:
				may <- struct{}{}
			case <-t.Context().Done():
			}
		}()
		c := g.dial()
		if c.send(sent); c.next("GET").StatusCode != 200 {
			t.Fatalf("%q is refused", sent)
		}
		_ = c.Close()
		if err := g.Shutdown(context.Background()); err != nil { // after which everything has been told
			t.Fatal(err)
		}
		if decided, total := s.decided.Load(), s.total.Load(); decided <= 0 || decided > total || (decided == total) != all {
			t.Errorf("%.40q: %v of %v", sent, time.Duration(decided), time.Duration(total))
		}
	}
	for _, who := range []string{alice, slow} {
		f(false, false, request("GET", "/x", "", who))
		f(true, false, request("GET", "/x", "", who))
	}
	f(false, true, request("GET", "/sessions/whoami", "", alice))
	f(false, true, request("GET", authPath, "", about("GET", "/x", alice)...))
}

// Nor is what a client takes to send a message, whether it waits to be asked for it or not.
func TestMessagesAreNotTheGatewaysTime(t *testing.T) {
	f := func(lines ...string) {
		t.Helper()
		var s *stopwatch
		g, _, hooks := newHookedGateway(t, func(with *setup) {
			s = &stopwatch{observer: with.Observer.(*observer)}
			with.Observer = s
		})
		c := g.dial()
		c.send(request("POST", hook, "", append(lines, key, "Content-Length: 16")...))
		if len(lines) > 0 && c.next("POST").StatusCode != 100 {
			t.Fatalf("%q: the message is not asked for", lines)
		}
		c.send("message_received")
		if c.next("POST").StatusCode != 204 || hooks.count() != 1 {
			t.Fatalf("%q: the message is refused", lines)
		}
		_ = c.Close()
		if err := g.Shutdown(context.Background()); err != nil { // after which everything has been told
			t.Fatal(err)
		}
		if decided, total := s.decided.Load(), s.total.Load(); decided <= 0 || decided >= total {
			t.Errorf("%q: %v of %v", lines, time.Duration(decided), time.Duration(total))
		}
	}
	f()
	f(expects)
}
