package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"
)

// A server is a process under load.
type server struct {
	cmd     *exec.Cmd
	address string
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(os.Interrupt) // nginx takes its worker along then
	_ = s.cmd.Wait()
}

// cost returns the CPU time of the process per request under load, in microseconds.
func (s *server) cost(request []byte, length time.Duration, connections int) (float64, error) {
	if _, err := load(s.address, request, length/10, connections); err != nil { // warm up
		return 0, err
	}
	before, err := cpuTime(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	answers, err := load(s.address, request, length, connections)
	if err != nil {
		return 0, err
	}
	after, err := cpuTime(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	return float64((after - before).Nanoseconds()) / 1e3 / float64(answers), nil
}

// start runs a command on a processor and waits until it accepts connections.
func start(cmd *exec.Cmd, address string, cpu int) (*server, error) {
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	s := &server{cmd: cmd, address: address}
	for range 200 { // ten seconds
		c, err := net.Dial("tcp", address)
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		_ = c.Close()
		if err := pin(cmd.Process.Pid, cpu); err != nil {
			s.stop()
			return nil, err
		}
		return s, nil
	}
	s.stop()
	return nil, fmt.Errorf("%s does not accept connections at %s", cmd.Path, address)
}

// startSelf runs this program as one of its parts.
func startSelf(part string, cpu int, args ...string) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(exec.Command(self, append([]string{part, address}, args...)...), address, cpu)
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
