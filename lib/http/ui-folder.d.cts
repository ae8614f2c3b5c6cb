/** Where the build has put the admin UI; `undefined` in a bundle. */
export const UI_FOLDER: string | undefined;
