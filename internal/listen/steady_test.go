package listen_test

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/listen"
)

// A failing listener returns errors in turn, and then connections.
type failing struct {
	*memory
	errs  []error
	calls int
}

func (l *failing) Accept() (net.Conn, error) {
	l.calls++
	if len(l.errs) == 0 {
		return l.memory.Accept()
	}
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}

// failure is an error as Accept returns it.
func failure(errno syscall.Errno) error {
	return &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", errno)}
}

func repeated(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// TestAcceptOutlastsErrors holds that accepting is tried again after ever longer pauses, and that the log says so.
func TestAcceptOutlastsErrors(t *testing.T) {
	f := func(errs []error, want time.Duration, wantLog string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var l log
			inner := &failing{memory: newMemory(), errs: errs}
			ln := listen.NewSteady(inner, listen.Config{Logger: l.logger()})
			go func() { _ = inner.dial(balancer).Close() }()
			start := time.Now()
			if _, err := ln.Accept(); err != nil {
				t.Errorf("accept: %v", err)
			}
			if took := time.Since(start); took != want {
				t.Errorf("accepting took %v, want %v", took, want)
			}
			if got := l.String(); !strings.Contains(got, wantLog) || wantLog == "" && got != "" || strings.Count(got, "\n") > 1 {
				t.Errorf("logged %q, want one line with %q", got, wantLog)
			}
			_ = ln.Close()
		})
	}
	const pauses = (5 + 10 + 20 + 40 + 80 + 160 + 320 + 640) * time.Millisecond
	f(nil, 0, "")
	f(repeated(1, failure(syscall.EMFILE)), 5*time.Millisecond, "LimitNOFILE=")
	f(repeated(8, failure(syscall.ENFILE)), pauses, "have to wait")
	f(repeated(18, failure(syscall.ENOBUFS)), pauses+10*time.Second, "have to wait")
	for _, errno := range []syscall.Errno{syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPERM, syscall.EPROTO, syscall.ENETDOWN} {
		f(repeated(1, failure(errno)), 5*time.Millisecond, "have to wait")
	}
}

// TestAcceptEnds holds that a listener which is of no use any more says so, and that a pause ends when the listener does.
func TestAcceptEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l log
		for _, want := range []error{
			failure(syscall.EBADF), failure(syscall.EINVAL), failure(syscall.ENOTSOCK), net.ErrClosed, errors.New("other"),
		} {
			inner := &failing{memory: newMemory(), errs: []error{want}}
			if _, err := listen.NewSteady(inner, listen.Config{Logger: l.logger()}).Accept(); !errors.Is(err, want) || inner.calls != 1 {
				t.Errorf("got %v after %d calls, want %v at once", err, inner.calls, want)
			}
		}
		if l.String() != "" {
			t.Errorf("logged: %s", l.String())
		}
		inner := &failing{memory: newMemory(), errs: repeated(1000, failure(syscall.EMFILE))}
		ln := listen.NewSteady(inner, listen.Config{Logger: l.logger()})
		ended := make(chan error)
		go func() {
			_, err := ln.Accept()
			ended <- err
		}()
		time.Sleep(time.Minute + time.Millisecond)
		synctest.Wait()
		start := time.Now()
		for range 2 {
			if err := ln.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		// fasthttp takes for an orderly end what has these words, and for a failure what has not.
		if err := <-ended; !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "use of closed network connection") {
			t.Errorf("got %v from a closed listener", err)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("closing took %v", took)
		}
		if inner.calls > 80 {
			t.Errorf("accepting was tried %d times in a minute", inner.calls)
		}
	})
}
