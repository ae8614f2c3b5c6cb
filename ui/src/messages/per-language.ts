import { languageTag } from './messages.js';

/** Makes a formatter for a language once, and returns the one of the current language: to make one takes long. */
export function perLanguage<T>(create: (language: string) => T): () => T {
  const made = new Map<string, T>();
  return () => {
    const language = languageTag();
    if (!made.has(language)) made.set(language, create(language));
    return made.get(language)!;
  };
}
