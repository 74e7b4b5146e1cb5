//go:build !race

package embedded_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// A damaged file is an error when it is opened, or when it is written to, if the damage is seen at all. It is never a crash.
//
// Not so under the race detector, which checks pointers as well (-d=checkptr) and ends the process where bbolt believes a length.
func TestDamagedFile(t *testing.T) {
	dir := t.TempDir()
	data, _ := fill(t, filepath.Join(dir, "whole.db"))
	random := rand.New(rand.NewPCG(1, 2))
	opened := 0
	f := func(name string, damage func([]byte)) {
		t.Helper()
		damaged := bytes.Clone(data)
		damage(damaged)
		if _, ok := survives(t, filepath.Join(dir, name), damaged); ok {
			opened++
		}
	}
	for n := range 150 {
		f(fmt.Sprintf("bits-%d", n), func(data []byte) {
			for range 1 + random.IntN(40) {
				data[random.IntN(len(data))] ^= byte(1 << random.IntN(8))
			}
		})
		f(fmt.Sprintf("page-%d", n), func(data []byte) {
			page := 4096 * random.IntN(len(data)/4096)
			for i := range 512 {
				data[page+i] = byte(random.Uint32())
			}
		})
	}
	if opened == 0 || opened == 300 {
		t.Errorf("%d of 300 files could be opened: the damage is not what it was meant to be", opened)
	}
}
