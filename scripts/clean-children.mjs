// Loaded before each test file (.taprc). tap loads itself into every process that a test starts; the
// end-to-end tests start the programs as people do, and count what they print and write.
import { ChildProcess } from 'node:child_process';

const TAPS_OWN = /^(_TAPJS_|NODE_OPTIONS=.*processinfo)/;

// tap adds its variables inside `spawn`, so they are taken out one step below it.
const spawn = ChildProcess.prototype.spawn;
ChildProcess.prototype.spawn = function (options) {
  const handle = this._handle;
  const start = handle.spawn;
  handle.spawn = (native) => {
    const envPairs = native.envPairs?.filter((pair) => !TAPS_OWN.test(pair));
    return start.call(handle, { ...native, envPairs });
  };
  return spawn.call(this, options);
};
