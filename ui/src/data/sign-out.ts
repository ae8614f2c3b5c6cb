import { API_URL } from '../route/server-facts.js';
import { alarm } from './alarm.svelte.js';
import { forgetLists } from './job-list.svelte.js';
import { jobMoves } from './job-moves.svelte.js';
import { knownTopics } from './known-topics.svelte.js';
import { overlays } from './overlays.svelte.js';
import { questions } from './questions.svelte.js';
import { session } from './session.svelte.js';

/** Sends sign-outs to the other tabs of this browser that use the same API. */
const tabs = openChannel();

/** Signs out all tabs that hold a token. */
export function signOut(): void {
  endSession();
  tabs?.postMessage(null);
}

/** Discards the token, what the user has typed in an open dialog, and all data that the user has seen. */
function endSession(): void {
  if (!session.hasToken) return;
  // Pending deletions need the token.
  jobMoves.settle();
  questions.answer(false);
  overlays.close();
  session.signOut();
  forgetLists();
  knownTopics.forget();
  alarm.forget();
}

/** Returns `undefined` in a browser that blocks storage: Firefox then also blocks channels. */
function openChannel(): BroadcastChannel | undefined {
  try {
    const channel = new BroadcastChannel(`nestjs-jobs:sign-out:${API_URL.pathname}`);
    channel.onmessage = endSession;
    return channel;
  } catch {
    return undefined;
  }
}
