import { messages } from '../messages/messages.js';

/** Puts text there. Browsers keep the clipboard from pages that came over plain HTTP; the old way still works there. */
export async function copyText(text: string): Promise<void> {
  const clipboard = navigator.clipboard as Clipboard | undefined;
  if (clipboard) {
    await clipboard.writeText(text);
    return;
  }
  const field = document.createElement('textarea');
  field.value = text;
  // Inside an open dialog only what belongs to it can be selected.
  const host = document.querySelector('dialog:modal') ?? document.body;
  host.append(field);
  field.select();
  const isCopied = document.execCommand('copy');
  field.remove();
  if (!isCopied) throw new Error(messages.problems.copyBlocked);
}
