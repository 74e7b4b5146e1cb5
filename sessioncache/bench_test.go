package sessioncache_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// hot returns a cache in whose hot table there is a session for a value of the given length.
func hot(tb testing.TB, length int) (*sessioncache.Cache, upstream.Credential) {
	tb.Helper()
	cred := upstream.Credential{Kind: upstream.Cookie, Name: "ory_kratos_session", Value: []byte(strings.Repeat("x", length))}
	s := newService(nil)
	s.say(string(cred.Value), yes("S", "I"))
	c := newCache(tb, s, sessioncache.Config{Service: "http://127.0.0.1:4433", FreshFor: time.Hour, FreshForDegraded: time.Hour})
	for {
		a, err := c.Session(tb.Context(), cred)
		if err != nil {
			tb.Fatal(err)
		}
		if a.Source == upstream.Hit {
			return c, cred
		}
	}
}

func benchmarkHit(b *testing.B, length int) {
	c, cred := hot(b, length)
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if a, err := c.Session(ctx, cred); err != nil || a.Source != upstream.Hit {
				b.Error(a.Source, err)
				return
			}
		}
	})
}

func BenchmarkHit39(b *testing.B)  { benchmarkHit(b, 39) }
func BenchmarkHit428(b *testing.B) { benchmarkHit(b, 428) }
