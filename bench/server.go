package main

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gatehouse-proxy/gatehouse/bench/load"
)

// A server is a process under load.
type server struct {
	cmd     *exec.Cmd
	address string
	session *session                    // that it knows; nil if it knows that of the arena, or needs none
	vary    func(request []byte, n int) // to one for another session that it knows; nil if it knows one
	admin   string                      // address of its administration; empty if it has none
	ended   chan struct{}
}

func (s *server) stop() {
	// nginx takes its worker along then. An interrupt would not do: whoever runs in the background of a shell ignores it, with all its children.
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.ended
}

// cost returns the CPU time of the process per request under p, in microseconds.
func (s *server) cost(p load.Plan) (float64, error) {
	p.Address = s.address
	warm := p
	warm.Length /= 10
	if _, err := load.Run(warm); err != nil {
		return 0, err
	}
	before, err := cpuTime(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	result, err := load.Run(p)
	if err != nil {
		return 0, err
	}
	after, err := cpuTime(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	return float64((after - before).Nanoseconds()) / 1e3 / float64(result.Answers), nil
}

// program returns where a program is, as found on PATH.
func program(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s %w", name, errMissing)
	}
	return path, nil
}

// start runs a command on a processor and waits until it accepts connections.
func start(cmd *exec.Cmd, address string, cpu int) (*server, error) {
	said := new(bytes.Buffer) // may be read once it has ended
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // a server ends with the thread that started it, if nobody stops it
	cmd.Env = append(cmd.Environ(), "GOMAXPROCS=1")
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	s := &server{cmd: cmd, address: address, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(s.ended)
	}()
	if err := s.await(); err != nil {
		s.stop()
		return nil, fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, said)
	}
	if err := pin(cmd.Process.Pid, cpu); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// await waits until the server accepts connections.
func (s *server) await() error {
	const most = 30 * time.Second
	for began := time.Now(); time.Since(began) < most; {
		if c, err := net.Dial("tcp", s.address); err == nil {
			return c.Close()
		}
		select {
		case <-s.ended:
			return fmt.Errorf("ended by itself: %v", s.cmd.ProcessState)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("does not accept connections at %s within %v", s.address, most)
}

// freeAddress returns an address that nothing listens on.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}
