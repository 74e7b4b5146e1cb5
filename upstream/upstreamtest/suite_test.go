package upstreamtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/upstream"
	"github.com/gatehouse-proxy/gatehouse/upstream/upstreamtest"
)

// A storeFunc is a Store.
type storeFunc func(ctx context.Context, c upstream.Credential) (upstream.Answer, error)

func (f storeFunc) Session(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
	return f(ctx, c)
}

// breaches are ways to break the contract in front of a Store that keeps it, and what the suite must say of each.
var breaches = map[string]struct {
	store func(next upstream.Store) upstream.Store
	want  string
}{
	"somebody else": {answering(func(_ context.Context, _ upstream.Credential, a upstream.Answer, err error) (upstream.Answer, error) {
		if err == nil {
			a.Session = upstreamtest.Session("other", a.Session.IdentityID)
		}
		return a, err
	}), "session is {ID: other"},
	"nothing at all": {answering(func(_ context.Context, _ upstream.Credential, a upstream.Answer, err error) (upstream.Answer, error) {
		if errors.Is(err, upstream.ErrNoSession) {
			err = nil
		}
		return a, err
	}), "neither a session nor an error"},
	"outage as no": {answering(func(_ context.Context, _ upstream.Credential, a upstream.Answer, err error) (upstream.Answer, error) {
		if errors.Is(err, upstreamtest.ErrDown) {
			err = upstream.ErrNoSession
		}
		return a, err
	}), "want an outage"},
	"no as outage": {answering(func(_ context.Context, _ upstream.Credential, a upstream.Answer, err error) (upstream.Answer, error) {
		if errors.Is(err, upstream.ErrNoSession) {
			err = errors.New("failed")
		}
		return a, err
	}), "want one that wraps no session"},
	"refusal as no": {answering(func(_ context.Context, _ upstream.Credential, a upstream.Answer, err error) (upstream.Answer, error) {
		if upstream.Definite(err) {
			err = upstream.ErrNoSession
		}
		return a, err
	}), "want a *Refusal"},
	"talkative error": {answering(func(_ context.Context, c upstream.Credential, a upstream.Answer, err error) (upstream.Answer, error) {
		if err != nil {
			err = fmt.Errorf("ask about %s: %w", c.Value, err)
		}
		return a, err
	}), "the error tells the credential"},
	"deadline hidden": {answering(func(ctx context.Context, _ upstream.Credential, a upstream.Answer, err error) (upstream.Answer, error) {
		if ctx.Err() != nil {
			err = errors.New("took too long")
		}
		return a, err
	}), "want one that wraps context"},
	"value changed": {answering(func(_ context.Context, c upstream.Credential, a upstream.Answer, err error) (upstream.Answer, error) {
		copy(c.Value, "redacted")
		return a, err
	}), "the store changed the value"},
	"no credential asked about": {func(next upstream.Store) upstream.Store {
		return storeFunc(func(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
			if c.Kind == upstream.NoCredential {
				c.Kind = upstream.Bearer
			}
			return next.Session(ctx, c)
		})
	}, "questions were asked about no credential"},
	"outage remembered": {func(next upstream.Store) upstream.Store {
		var mu sync.Mutex
		var failed error
		return storeFunc(func(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
			a, err := next.Session(ctx, c)
			mu.Lock()
			defer mu.Unlock()
			if err != nil && !upstream.Definite(err) {
				failed = err
			}
			if failed != nil {
				return upstream.Answer{}, failed
			}
			return a, err
		})
	}, "Session failed for a"},
	"value kept": {func(next upstream.Store) upstream.Store {
		var mu sync.Mutex
		var known []upstream.Credential
		var answers []upstream.Answer
		return storeFunc(func(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
			mu.Lock()
			defer mu.Unlock()
			for i, k := range known {
				if k.Kind == c.Kind && bytes.Equal(k.Value, c.Value) {
					return answers[i], nil
				}
			}
			a, err := next.Session(ctx, c)
			if err == nil {
				known, answers = append(known, c), append(answers, a)
			}
			return a, err
		})
	}, "want {ID: session-2"},
}

// answering returns a Store that changes the answers of the next one.
func answering(
	change func(context.Context, upstream.Credential, upstream.Answer, error) (upstream.Answer, error),
) func(upstream.Store) upstream.Store {
	return func(next upstream.Store) upstream.Store {
		return storeFunc(func(ctx context.Context, c upstream.Credential) (upstream.Answer, error) {
			a, err := next.Session(ctx, c)
			return change(ctx, c, a, err)
		})
	}
}

// TestBreach is what TestStoreFindsBreaches runs in a process of its own. By itself it has nothing to test.
func TestBreach(t *testing.T) {
	breach, ok := breaches[os.Getenv("UPSTREAMTEST_BREACH")]
	if !ok {
		return
	}
	upstreamtest.TestStore(t, func(*testing.T) upstreamtest.Subject {
		fake := new(upstreamtest.Fake)
		return subject(breach.store(fake), fake)
	})
}

// A suite that cannot fail proves nothing: each breach of the contract must be found, and for the reason expected.
func TestStoreFindsBreaches(t *testing.T) {
	for name, breach := range breaches {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestBreach$")
			cmd.Env = append(os.Environ(), "UPSTREAMTEST_BREACH="+name)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), breach.want) {
				t.Errorf("the suite ended with error %v, want a failure that says %q:\n%s", err, breach.want, out)
			}
		})
	}
}
