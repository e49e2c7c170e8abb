// How long what somebody else brings about is waited for: longer than the story
// does, which has better words for it.
const patience = 120_000;

// until waits until a condition holds, looking whenever an emitter emits one of events.
export async function until(emitter, events, holds, what) {
  if (await holds()) return;
  const { promise, resolve, reject } = Promise.withResolvers();
  const look = async () => {
    try {
      if (await holds()) resolve();
    } catch (err) {
      reject(err);
    }
  };
  const bell = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), patience);
  for (const e of events) emitter.on(e, look);
  try {
    void look(); // it may have come between
    await promise;
  } finally {
    clearTimeout(bell);
    for (const e of events) emitter.off(e, look);
  }
}
