package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/gatehouse-proxy/gatehouse/internal/parts"
)

// A version says what was built, from what, and by which toolchain.
type version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"` // of the revision
	Modified bool   `json:"modified"`       // whether the tree had changes beyond the revision
	Go       string `json:"go"`
	Platform string `json:"platform"`

	Parts   []parts.Part `json:"parts"`   // the optional parts that are in it
	Without []parts.Part `json:"without"` // and those that are not
}

// release may be set by the linker: -X main.release=v1.2.3. Otherwise the version is what the toolchain recorded.
var release string

func readVersion() version {
	v := version{
		Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Parts: []parts.Part{}, Without: []parts.Part{},
	}
	for _, p := range parts.All() {
		if p.Built() {
			v.Parts = append(v.Parts, p)
		} else {
			v.Without = append(v.Without, p)
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" && info.Main.Version != "(devel)" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.time":
				v.Time = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	if release != "" {
		v.Version = release
	}
	return v
}

func printVersion(c *call) error {
	asJSON := c.flags.Bool("json", false, "print as JSON")
	if _, err := c.parse(0); err != nil {
		return err
	}
	v := readVersion()
	if *asJSON {
		return json.NewEncoder(c.stdout).Encode(v)
	}
	fmt.Fprintf(c.stdout, "gatehouse %s (%s, %s)\n", v.Version, v.Go, v.Platform)
	if len(v.Without) > 0 {
		fmt.Fprintf(c.stdout, "core build, without %s\n", list(v.Without))
	} else {
		fmt.Fprintf(c.stdout, "full build, with %s\n", list(v.Parts))
	}
	return nil
}

func list(all []parts.Part) string {
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}
