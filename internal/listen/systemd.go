package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

// firstInherited is the first descriptor that systemd passes, SD_LISTEN_FDS_START.
const firstInherited = 3

// Inherited are the sockets that systemd passed to this process.
type Inherited struct{ sockets []inherited }

type inherited struct {
	name  string // FileDescriptorName= of its unit, by default the name of the unit
	ln    net.Listener
	taken bool
}

// Inherit takes over what systemd passed, and unsets the variables that say so: there is nothing to take over a second time, nor for
// a child. It returns no sockets if systemd passed none to this very process. What is not opened later is closed by [Inherited.Close].
func Inherit() (*Inherited, error) {
	pid, fds := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	fdNames, named := os.LookupEnv("LISTEN_FDNAMES")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = os.Unsetenv(name)
	}
	in := &Inherited{}
	if pid != strconv.Itoa(os.Getpid()) {
		return in, nil
	}
	n, err := strconv.Atoi(fds)
	names := strings.Split(fdNames, ":")
	if err != nil || n < 1 || named && n != len(names) {
		return nil, fmt.Errorf("take over sockets of systemd: LISTEN_FDS=%q does not go with LISTEN_FDNAMES=%q", fds, fdNames)
	}
	for i := range n {
		name := "unknown" // as in sd_listen_fds_with_names(3)
		if named {
			name = names[i]
		}
		f := os.NewFile(uintptr(firstInherited+i), name)
		ln, err := net.FileListener(f) // with a descriptor of its own, which is closed on exec and is not unlinked
		_ = f.Close()
		if err != nil {
			in.Close()
			return nil, fmt.Errorf("take over socket %s of systemd, which must be of ListenStream=: %w", name, err)
		}
		in.sockets = append(in.sockets, inherited{name: name, ln: ln})
	}
	return in, nil
}

// take returns the sockets of a name, or all of them if the name is empty.
func (in *Inherited) take(name string) (found []net.Listener, err error) {
	var names []string
	for i := range in.sockets {
		s := &in.sockets[i]
		if !slices.Contains(names, s.name) {
			names = append(names, s.name)
		}
		if name == "" || s.name == name {
			found, s.taken = append(found, s.ln), true
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case len(names) > 0:
		return nil, fmt.Errorf("systemd passed no socket %s, only %s: see FileDescriptorName= in the socket unit",
			name, strings.Join(names, " and "))
	default:
		return nil, errors.New("systemd passed no socket: start this by its socket unit, or choose another address")
	}
}

// Close closes the sockets that nobody opened, and returns their names.
func (in *Inherited) Close() (unused []string) {
	for _, s := range in.sockets {
		if !s.taken {
			unused = append(unused, s.name)
			_ = s.ln.Close()
		}
	}
	in.sockets = nil
	return unused
}
