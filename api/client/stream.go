package client

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// decodeObject reads one JSON object; value reads the value of each key.
func decodeObject(d *json.Decoder, value func(key string) error) error {
	if err := delimiter(d, '{'); err != nil {
		return err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		if err := value(key.(string)); err != nil { // the decoder returns only strings for keys
			return err
		}
	}
	return delimiter(d, '}')
}

// decodeBlocks reads a JSON array of blocks, one at a time.
func decodeBlocks(d *json.Decoder, each func(Block) error) error {
	if err := delimiter(d, '['); err != nil {
		return err
	}
	for d.More() {
		var b Block
		if err := d.Decode(&b); err != nil {
			return err
		}
		if err := each(b); err != nil {
			return err
		}
	}
	return delimiter(d, ']')
}

func delimiter(d *json.Decoder, want json.Delim) error {
	got, err := d.Token()
	if err == nil && got != want {
		err = fmt.Errorf("%v where %v should be", got, want)
	}
	return err
}

// skip reads a value and forgets it.
func skip(d *json.Decoder) error {
	var ignored json.RawMessage
	return d.Decode(&ignored)
}

// patience calls end when one wait takes longer than limit.
type patience struct {
	limit time.Duration
	end   func()
	timer *time.Timer
}

func (p *patience) begin() {
	if p.timer == nil {
		p.timer = time.AfterFunc(p.limit, p.end)
		return
	}
	p.timer.Reset(p.limit)
}

func (p *patience) over() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// patientReader bounds how long each read of r waits, and nothing else: a
// caller may take as long as it likes between two reads.
type patientReader struct {
	r    io.Reader
	wait *patience
}

func (r *patientReader) Read(b []byte) (int, error) {
	r.wait.begin()
	defer r.wait.over()
	return r.r.Read(b)
}
