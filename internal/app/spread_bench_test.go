package app_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/proxy"
	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// BenchmarkSpread measures hits that are spread over all sessions that are in memory, without a kernel in them. Those of a thousand are all
// awake. Of a quarter of a million hardly one is when it is asked for, and none is in a cache of the processor. Beside the mean, which has
// the collections of garbage in it, it reports percentiles of the time from a request to its answer.
func BenchmarkSpread(b *testing.B) {
	for _, sessions := range []int{1_000, 250_000} {
		s := sync.OnceValue(func() memoryServer { return inMemory(b, serverOf(b, filledGate(b, sessions))) })
		b.Run(strconv.Itoa(sessions), func(b *testing.B) {
			s := s()
			c := &spreadConn{sessions: sessions, memoryConn: memoryConn{request: slices.Clone(hits()[0].request), left: b.N, done: make(chan struct{})}}
			c.times = make([]time.Duration, 0, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			s.ln.conns <- c
			<-c.done
			b.StopTimer()
			if c.answers != b.N {
				b.Fatalf("%d of %d answers are 200, the last is %q", c.answers, b.N, c.answer)
			}
			slices.Sort(c.times)
			b.ReportMetric(float64(c.times[b.N/2].Nanoseconds()), "p50-ns")
			b.ReportMetric(float64(c.times[b.N*99/100].Nanoseconds()), "p99-ns")
		})
	}
}

// filledGate returns a gate whose cache has been asked about so many sessions.
func filledGate(tb testing.TB, sessions int) (g *proxy.Gate) {
	tb.Helper()
	cache, err := sessioncache.New(numbered{}, sessioncache.Config{
		Service: "test", Size: sessions, FreshFor: time.Hour, Prepare: func(s *upstream.Session) { g.Policy().Prepare(s, nil) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(cache.Close)
	g = newGateOver(tb, cache, 2)
	for n := range 2 * sessions { // what was dropped the first time is remembered the second
		cred := token
		cred.Value = bytes.Clone(token.Value)
		number(cred.Value, n%sessions)
		if _, err := cache.Session(tb.Context(), cred); err != nil {
			tb.Fatal(err)
		}
	}
	return g
}

// number makes a token one of a number, which is its last eight bytes.
func number(token []byte, n int) {
	for i := len(token) - 1; i >= len(token)-8; i-- {
		token[i] = byte('0' + n%10)
		n /= 10
	}
}

// numbered knows a session for every token.
type numbered struct{}

func (numbered) Session(_ context.Context, c upstream.Credential) (upstream.Answer, error) {
	n := string(c.Value[len(c.Value)-8:])
	id := func(kind string) string { return n + "-2bd8-449a-8d5e-" + kind + n }
	return upstream.Answer{Session: upstreamtest.Session(id("5e55"), id("1de7")), BelieveFor: upstream.Unlimited}, nil
}

// A spreadConn is a client that presents any of the sessions each time.
type spreadConn struct {
	memoryConn
	sessions int
	asked    time.Time
	times    []time.Duration
}

func (c *spreadConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 && c.left > 0 {
		end := bytes.Index(c.request, token.Value[:len("ory_st_")]) + len(token.Value)
		number(c.request[:end], rand.IntN(c.sessions))
		c.asked = time.Now()
	}
	return c.memoryConn.Read(p)
}

func (c *spreadConn) Write(p []byte) (int, error) {
	c.times = append(c.times, time.Since(c.asked))
	return c.memoryConn.Write(p)
}
