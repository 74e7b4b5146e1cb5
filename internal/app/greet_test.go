package app_test

import (
	"net"
	"strings"
	"testing"
	"time"
)

// An address of the session service that nobody answers at is told at the start, once, and not when somebody first signs in.
func TestServiceThatCannotBeReachedIsTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close() // nobody is there
	w := start(t, "upstream: { kratos: { url: 'http://"+ln.Addr().String()+"/base' } }")
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(w.log.String(), "cannot be reached"); {
		if time.Now().After(deadline) {
			t.Fatalf("log:\n%s", w.log)
		}
		w.get(w.admin + "/livez")
	}
	if log := w.log.String(); strings.Count(log, "cannot be reached") != 1 || !strings.Contains(log, `"key":"upstream.kratos.url"`) {
		t.Errorf("log:\n%s", log)
	}
}

// Nothing is told of a service that can be reached.
func TestServiceThatCanBeReached(t *testing.T) {
	w := start(t)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if log := w.log.String(); strings.Contains(log, "cannot be reached") {
		t.Errorf("log:\n%s", log)
	}
}
