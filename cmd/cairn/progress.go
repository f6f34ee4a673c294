package main

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows a person how far a long command is, on standard error. Where
// nobody watches it shows nothing.
type progress struct {
	a     *app
	stage string
	bar   *progressbar.ProgressBar
}

func (a *app) progress() *progress { return &progress{a: a} }

// show says how far a stage is, in bytes or in what the stage counts. A total of
// 0 is one that is not known.
func (p *progress) show(stage string, done, total uint64, bytes bool) {
	if !isTerminal(p.a.stderr) {
		return
	}
	most := int64(total)
	if total == 0 {
		most = -1
	}
	if p.bar == nil || p.stage != stage {
		p.end()
		p.stage = stage
		p.bar = progressbar.NewOptions64(most,
			progressbar.OptionSetWriter(p.a.stderr),
			progressbar.OptionSetDescription(stage),
			progressbar.OptionShowBytes(bytes),
			progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetWidth(30),
			progressbar.OptionClearOnFinish())
	}
	if most >= 0 && p.bar.GetMax64() != most {
		p.bar.ChangeMax64(max(most, int64(done)))
	}
	_ = p.bar.Set64(int64(done)) // fails when done is above the total: then the bar is full
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Exit() // what it could not write was only a bar
		_ = p.bar.Clear()
		p.bar = nil
	}
}
