package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/bench/report"
)

func main() {
	runtime.LockOSThread() // servers end with it
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are what can be chosen about a run.
type settings struct {
	rounds      int
	length      time.Duration // of the load on one server in one round
	connections int
	only        string
	out         string
}

func run(args []string) error {
	if len(args) > 1 && args[0] == playArgument {
		return play(args[1:])
	}
	var s settings
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.IntVar(&s.rounds, "rounds", 9, "`rounds`, of which the median counts")
	flags.DurationVar(&s.length, "length", 700*time.Millisecond, "how long one server is loaded in one round")
	flags.IntVar(&s.connections, "connections", 32, "connections that are kept open")
	flags.StringVar(&s.only, "only", "", "run the contests whose name has this `word` in it, and write no page")
	flags.StringVar(&s.out, "out", "../docs/reference", "`directory` of the page")
	render := flags.Bool("render", false, "write the page anew from performance.json, and measure nothing")
	list := flags.Bool("list", false, "list the contests")
	_ = flags.Parse(args)
	switch {
	case *list:
		for _, c := range contests() {
			fmt.Printf("%-16s %s\n", c.name, c.title)
		}
		return nil
	case *render:
		r, err := report.Read(s.out)
		if err != nil {
			return err
		}
		return r.Write(s.out)
	}
	return measure(s, flags)
}

// measure runs the contests, one after the other, and writes the page.
func measure(s settings, flags *flag.FlagSet) error {
	machine, err := describeMachine()
	if err != nil {
		return err
	}
	if machine.Load >= 0.5 {
		warn("the machine is busy (load %.2f): figures will be worth little", machine.Load)
	}
	a, err := newArena(s)
	if err != nil {
		return err
	}
	defer a.close()
	machine.Processors = a.cpus.count()
	if machine.Processors == 1 {
		warn("there is one processor only: servers, load and application share it")
	}
	debug.SetGCPercent(-1) // the load is short, and nothing may come in between; collect does it
	r := &report.Run{Date: time.Now().Format(time.DateOnly), Command: commandOf(flags), Machine: machine}
	began := time.Now()
	for _, c := range contests() {
		if !strings.Contains(c.name, s.only) {
			continue
		}
		result, err := c.run(a)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		result.Name, result.Title, result.About = c.name, c.title, c.about
		fmt.Println(result.Text())
		r.Contests = append(r.Contests, *result)
		runtime.GC()
	}
	if len(r.Contests) == 0 {
		return fmt.Errorf("no contest has %q in its name: see -list", s.only)
	}
	r.Versions = a.versions()
	fmt.Printf("%s, %d rounds of %v, in %v\n", r.Machine.CPU, s.rounds, s.length, time.Since(began).Round(time.Second))
	if s.only != "" {
		fmt.Println("No page is written, since only some contests were run.")
		return nil
	}
	return r.Write(s.out)
}

// commandOf returns the command that does the same again.
func commandOf(flags *flag.FlagSet) string {
	var set []string
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "out" {
			set = append(set, "-"+f.Name+"="+f.Value.String())
		}
	})
	if len(set) == 0 {
		return "make bench"
	}
	return "make bench BENCH='" + strings.Join(set, " ") + "'"
}

func warn(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: WARNING: "+format+"\n", args...)
}
