package matrix

import (
	"context"
	"io"
	"time"
)

// idleWatch cancels a download when nothing comes for a while.
type idleWatch struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func watchIdle(ctx context.Context) (context.Context, *idleWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &idleWatch{timer: time.AfterFunc(MediaIdle, func() { cancel(errStalled) }), cancel: cancel}
}

func (w *idleWatch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// reader gives r, every byte of which keeps the download alive.
func (w *idleWatch) reader(r io.Reader) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		n, err := r.Read(b)
		if n > 0 {
			w.timer.Reset(MediaIdle)
		}
		return n, err
	})
}
