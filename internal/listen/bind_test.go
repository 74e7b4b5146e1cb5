package listen_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gatehouse-proxy/gatehouse/internal/listen"
)

// An address that cannot be bound is an error that says what to change.
func TestBindFaults(t *testing.T) {
	f := func(address, want string) {
		t.Helper()
		all, err := listen.Open(listen.Config{Address: address, Logger: slog.New(slog.DiscardHandler)}, nil)
		for _, ln := range all {
			_ = ln.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", address, err, want)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f(taken.Addr().String(), "is in use by another process: choose another, or stop that process")
	f("192.0.2.1:0", "is none of this machine's: choose one that it has") // RFC 5737: nobody has it
	f("unix:"+filepath.Join(t.TempDir(), "missing", "g.sock"), "has no directory to be in: make it")

	denied := &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)} // which root never gets
	if err := listen.BindFault("127.0.0.1:80", denied); !errors.Is(err, syscall.EACCES) ||
		!strings.Contains(err.Error(), "may not be bound by this user: choose a port from 1024 up") {
		t.Error(err)
	}
	if other := errors.New("other"); !errors.Is(listen.BindFault("127.0.0.1:80", other), other) {
		t.Error("another error is lost")
	}
}
