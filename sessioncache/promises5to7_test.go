package sessioncache_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/sessioncache"
	"github.com/gatehouse-proxy/gatehouse/upstream"
)

// The whole heap is written to a file, and the credentials are looked for in it.
func TestP5NothingOfACredentialIsKept(t *testing.T) {
	// The test keeps the credentials in disguise, so that it finds only the copies of others.
	const n, key = 20, 0x55
	disguise := func(b []byte) []byte {
		out := make([]byte, len(b))
		for i := range b {
			out[i] = b[i] ^ key
		}
		return out
	}
	hidden := make([][]byte, n)
	for i := range hidden {
		b := make([]byte, 32)
		for j := range b {
			b[j] = byte('a' + rand.IntN(26))
		}
		hidden[i] = disguise(b)
		clear(b)
	}
	replies := []reply{yes("S", "I"), no, refuses, down, func() (upstream.Answer, error) { panic("oh") }}
	next := 0
	c := newCache(t, storeFunc(func(context.Context, upstream.Credential) (upstream.Answer, error) {
		next++
		return replies[next%len(replies)]()
	}), sessioncache.Config{StaleFor: time.Hour, NegativeFor: time.Hour, Ready: func(context.Context) error { return nil }})
	use := func(value []byte) {
		cred := upstream.Credential{Kind: upstream.Cookie, Name: "session", Value: value}
		_, _ = c.Session(t.Context(), cred)
		_, _ = c.Lookup(t.Context(), cred, 0)
		c.RevokeCredential(cred)
		_ = c.Tag(cred)
		clear(value)
	}
	for _, h := range hidden {
		use(disguise(h))
	}
	dump := func() []byte {
		path := filepath.Join(t.TempDir(), "heap")
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		runtime.GC()
		runtime.GC()
		debug.WriteHeapDump(file.Fd())
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	canary := disguise(hidden[0]) // proves that the dump shows what there is
	heap := dump()
	for i, h := range hidden {
		if found := bytes.Contains(heap, disguise(h)); found != (i == 0) {
			t.Errorf("credential %d in memory: %v", i, found)
		}
	}
	runtime.KeepAlive(canary)
	runtime.KeepAlive(c)
}

func TestP5NoErrorTellsACredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "attack-at-dawn"
		cred := cookie(secret)
		wrapped := fmt.Errorf("%w: "+secret, upstream.ErrNoSession)
		for _, with := range []any{secret, errors.New(secret), wrapped, cred, &cred, []byte(secret)} {
			panics := storeFunc(func(context.Context, upstream.Credential) (upstream.Answer, error) { panic(with) })
			c := newCache(t, panics, sessioncache.Config{})
			_, err := c.Session(t.Context(), cred)
			if err == nil || upstream.Definite(err) || strings.Contains(err.Error(), secret) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, other := newCache(t, newService(t), sessioncache.Config{}), newCache(t, newService(t), sessioncache.Config{})
		tag := c.Tag(cookie("a"))
		if b, err := hex.DecodeString(tag); err != nil || len(b) != 4 {
			t.Errorf("tag is %q", tag)
		}
		if c.Tag(cookie("a")) != tag || c.Tag(cookie("b")) == tag {
			t.Error("a tag must stand for one credential")
		}
		if other.Tag(cookie("a")) == tag {
			t.Error("a tag must mean nothing to others, or it could be tried against known tokens")
		}
	})
}

func TestP6HitDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.say("hit", yes("H", "I"))
		s.say("stale", yes("S", "I"))
		c := newCache(t, s, sessioncache.Config{FreshFor: 10 * time.Second, StaleFor: time.Hour})
		wantSession(t, c, "stale", "S", upstream.Asked)
		time.Sleep(9 * time.Second)
		wantSession(t, c, "hit", "H", upstream.Asked)
		synctest.Wait()
		time.Sleep(time.Second)

		s.set(func(s *service) { s.hold = make(chan struct{}) }) // the service hangs
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 100 {
			go c.Session(ctx, cookie(fmt.Sprint("unknown ", i)))
		}
		synctest.Wait()
		start := time.Now()
		for range 100 {
			wantSession(t, c, "hit", "H", upstream.Hit)
			wantSession(t, c, "stale", "S", upstream.Stale)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("waited for %v", d)
		}
		cancel()
		synctest.Wait()
	})
}

// The cache is far too small, and its tables are emptied at random: everything is asked again and again, and every answer is right.
func TestP7LosingWritesCostsQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		c := newCache(t, s, sessioncache.Config{Size: 1, NegativeFor: time.Second})
		const n = 300
		for i := range n {
			switch i % 3 {
			case 0:
				s.say(fmt.Sprint(i), yes(fmt.Sprint("S", i), "I"))
			case 1:
				s.say(fmt.Sprint(i), down)
			}
		}
		for range 5000 {
			i := rand.IntN(n)
			a, err := c.Session(t.Context(), cookie(fmt.Sprint(i)))
			switch i % 3 {
			case 0:
				checkSession(t, a, err, fmt.Sprint("S", i), a.Source)
			case 1:
				checkError(t, a, err, errDown)
			case 2:
				checkError(t, a, err, upstream.ErrNoSession)
			}
			switch rand.IntN(500) {
			case 0:
				c.Flush()
			case 1, 2, 3, 4, 5:
				synctest.Wait() // let the hot table do what it has been told
			}
		}
		if st := c.Stats(); st.Window.Evictions == 0 || st.Hot.Evictions+st.HotRejections == 0 {
			t.Errorf("nothing was lost, so nothing was tested: %+v", st)
		}
	})
}
