package sessioncache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("a", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: time.Hour})
		wantSession(t, c, "a", "S", upstream.Asked)
		s.set(func(s *service) { s.hold = make(chan struct{}) })
		for range 10 {
			go func() {
				a, err := c.Session(t.Context(), cookie("b"))
				checkError(t, a, err, context.Canceled)
			}()
		}
		time.Sleep(20 * time.Second)
		wantSession(t, c, "a", "S", upstream.Stale) // a question in the background
		synctest.Wait()
		c.Close()
		c.Close()
		n := s.questions("")
		if a, err := c.Session(t.Context(), cookie("c")); err == nil || upstream.Definite(err) {
			t.Errorf("got %v, %v after Close", a.Session, err)
		}
		time.Sleep(time.Second)
		_, _ = c.Session(t.Context(), cookie("a"))
		c.RevokeSession("S")
		c.Flush()
		_ = c.Stats()
		wantQuestions(t, s, "", n)
	})
}

// Close waits even for a store that does not care about its context.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asking := true
		c := newCache(t, storeFunc(func(context.Context, upstream.Credential) (upstream.Answer, error) {
			time.Sleep(time.Minute)
			asking = false
			return no()
		}), sessioncache.Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _ = c.Session(ctx, cookie("a"))
		c.Close()
		if asking {
			t.Error("Close returned while the store was still asked")
		}
	})
}

// For the race detector: everything at once, while the cache is closed.
func TestCloseWhileInUse(t *testing.T) {
	for range 30 {
		s := newService(t)
		for i := range 50 {
			s.say(fmt.Sprint(i), yes(fmt.Sprint("S", i), "I"))
		}
		c := newCache(t, s, sessioncache.Config{Size: 10, FreshFor: 100 * time.Millisecond, StaleFor: time.Hour, NegativeFor: time.Second})
		var users, started sync.WaitGroup
		for range 8 {
			started.Add(1)
			users.Go(func() {
				started.Done()
				for i := range 500 {
					switch value := fmt.Sprint(rand.IntN(60)); rand.IntN(20) {
					case 0:
						c.RevokeSession("S" + value)
					case 1:
						c.RevokeCredential(cookie(value))
					case 2:
						_ = c.Stats()
					case 3:
						if i%50 == 0 {
							c.Flush()
						}
					default:
						_, _ = c.Lookup(t.Context(), cookie(value), time.Duration(rand.IntN(2))*time.Hour)
					}
				}
			})
		}
		started.Wait()
		c.Close()
		users.Wait()
	}
}
