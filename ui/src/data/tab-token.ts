/*
 * A tab that the user opens from a signed-in one is signed in too. The two tabs use a channel whose name is a random secret in the
 * fragment of the link. No other script of this origin knows it, no server receives it, and it works once.
 */

const CHANNEL = 'nestjs-jobs:tab:';
const FRAGMENT = '#tab=';
/** How long an opened tab may take to load. */
const OFFER_MS = 30_000;
/** The answer comes from another tab of the same browser. */
const ANSWER_MS = 2_000;

/** Offers the token to the tab that this event opens with a link. */
export function offerToken(link: Element, token: () => string | null): void {
  const secret = crypto.getRandomValues(new Uint32Array(8)).join('');
  const href = link.getAttribute('href')!;
  link.setAttribute('href', href + FRAGMENT + secret);
  // The browser has read the address by then.
  setTimeout(() => link.setAttribute('href', href));
  const channel = new BroadcastChannel(CHANNEL + secret);
  const end = setTimeout(() => channel.close(), OFFER_MS);
  channel.onmessage = () => {
    clearTimeout(end);
    channel.postMessage(token());
    channel.close();
  };
}

/** Asks the tab that has opened this one for its token. Removes the secret from the address. */
export function receiveToken(): Promise<string | null> {
  const { hash, pathname, search } = location;
  if (!hash.startsWith(FRAGMENT)) return Promise.resolve(null);
  history.replaceState(history.state, '', pathname + search);
  const channel = new BroadcastChannel(CHANNEL + hash.slice(FRAGMENT.length));
  return new Promise((resolve) => {
    const answer = (token: unknown): void => {
      channel.close();
      resolve(typeof token === 'string' ? token : null);
    };
    setTimeout(() => answer(null), ANSWER_MS);
    channel.onmessage = ({ data }) => answer(data);
    channel.postMessage('token');
  });
}
