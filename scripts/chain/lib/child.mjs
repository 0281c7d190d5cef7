// Child processes that never outlive us.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * `spawn`, but the kernel ends the child when this process dies, however it dies. `setpriv` is in util-linux; without it a
 * SIGKILL of this process would leave the child running.
 */
export function spawnGuarded(command, args, options) {
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find(existsSync);
  if (!setpriv) return spawn(command, args, options);
  return spawn(setpriv, ['--pdeathsig', 'KILL', '--', command, ...args], options);
}

export const isGone = (child) => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;

/** Whether a process with this id exists. */
export function isAlive(pid) {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** SIGTERM, and SIGKILL if that is not enough. Whether the first one was. */
export async function endChild(child, patienceMs = 3000) {
  for (const signal of ['SIGTERM', 'SIGKILL']) {
    if (isGone(child)) return true;
    child.kill(signal);
    for (let waited = 0; waited < patienceMs && !isGone(child); waited += 20) await sleep(20);
    if (signal === 'SIGTERM' && isGone(child)) return true;
  }
  return false;
}
