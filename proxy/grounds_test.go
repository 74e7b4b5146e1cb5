package proxy

import (
	"reflect"
	"testing"
)

// Fasthttp takes the bytes of a request back. What a tunnel keeps of them stays as it was, in every reading.
func TestTargetIsKept(t *testing.T) {
	of := func(buf []byte) Target {
		return Target{Method: buf[:1], Host: buf[1:2], Path: buf[2:3], Raw: buf[3:4], forms: parameters, Destination: buf[4:5]}
	}
	buf := []byte("abcde")
	request := of(buf)
	kept := request.clone()
	copy(buf, "XXXXX")
	if want := of([]byte("abcde")); !reflect.DeepEqual(kept, want) {
		t.Errorf("got %+v, want %+v", kept, want)
	}
}
